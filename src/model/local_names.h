#pragma once

/*
 * Names without a domain, as daemons write them ("root"): who gets their mail
 * (aliases), and what domain they have (mail_domain). Made by
 * mail_params_finish(); used there for the envelope and in mime/ for the
 * header fields of ready messages, so that both say the same.
 *
 * Local is a mailbox without a domain, or at "localhost". A recipient: by its
 * alias, over and over (a name that comes up again in its own expansion, and
 * one written "\name", stays itself); else by the alias "default"; else at
 * mail_domain; else as it is. A sender: at mail_domain, else as it is.
 * Names are matched without regard to case.
 */

#include "base/base.h"
#include "model/mail_params.h"

struct err;
struct local_names;

enum { ALIAS_DEPTH_MOST = 50, ALIAS_TARGETS_MOST = 100000 };

/*
 * Of p->aliases and p->mail_domain. ERR_DATA (by the setting's origin): an address that is none; mail_domain no
 * domain.
 */
int local_names_make(struct local_names **ret, const struct mail_params *p, struct err *e) MUST_CHECK;
/* Nothing is to be resolved: no alias, no domain. */
bool local_names_empty(const struct local_names *n);
/*
 * What the recipient @m stands for. 1: the mailboxes are appended to @out (each once, one at least); 0: it
 * stands for itself, nothing is appended; -1: ERR_DATA, an alias has no address, goes to a command or a file,
 * or is nested too deeply.
 */
int local_names_recipient(struct local_names *n, const struct mailbox *m, struct addressees *out,
			  struct err *e) MUST_CHECK;
/* Without a domain, or at "localhost". */
bool mailbox_is_local(const struct mailbox *m);
/* The sender @m, in place: true where it was given the mail_domain. */
bool local_names_sender(const struct local_names *n, struct mailbox *m);
void local_names_free(struct local_names *n);
