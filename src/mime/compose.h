#pragma once

/*
 * From what was asked to what will be sent. The only place that knows both
 * mail_params and part. Output is 7-bit clean unless a header address needs
 * SMTPUTF8: composition never asks what a server can do.
 *
 * Structure by need: text; multipart/alternative (text, html); multipart/related
 * (html and the attachments with a content_id and disposition inline); multipart/mixed
 * (attachments); the recursive form as it was given.
 */

#include "base/base.h"
#include "model/message.h"

struct err;
struct mail_params;
struct ready;
struct sysinfo;

/*
 * A composed message, or a ready one: then of *taken, which may be NULL (mime/ready.h). Stages every pipe,
 * identifies every file, scans text for its encoding and size, builds the headers. Opens no socket, reads base64
 * files not at all. @p is borrowed until message_free(). Errors: ERR_DATA, ERR_NOINPUT, ERR_IO, ERR_CANTCREAT,
 * ERR_OS.
 */
int message_from_params(struct message **ret, struct ready **taken, const struct mail_params *p,
			const struct sysinfo *sys, struct err *e) MUST_CHECK;
