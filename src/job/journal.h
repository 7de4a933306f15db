#pragma once

/*
 * The journal of a batch (--journal FILE, --resume): what was begun, and what became of it, so that a run
 * that died at any instant can be gone on with and nobody gets a message twice or not at all.
 *
 * FILE is JSON Lines, only ever appended to, 0600, and locked (flock(2)) while a run uses it:
 *
 *	{"mailchute":"journal","version":1}
 *	{"sent":LINE,"key":"HEX","id":"ID","message_id":"<…>"}
 *	{"done":LINE,"key":"HEX","id":"ID","message_id":"<…>","all":"accepted"}
 *	{"done":LINE,"key":"HEX","message_id":"<…>","rcpt":[["addr","accepted"],["addr2","deferred"]]}
 *
 * "sent" is written before the octets leave that could make the server accept the message: from then on it
 * is in doubt, until its "done", which has the states of model/report.h: "all" where they are the same,
 * else "rcpt", which names every recipient. "id" is there where the batch's line has one. Keys may be added
 * to a record; one of an unknown kind is refused, for what is not understood might be sent twice.
 *
 * write(2) is enough against kill -9: the octets are the kernel's then. journal_sync() is against the
 * machine's death. A last line without its LF was never wholly written: its write(2) did not return, so
 * what it announces did not happen; it is cut off.
 *
 * A message is known by its key: its id's, or that of its line's octets together with the line's number. So
 * equal lines are as many messages, and a batch that was edited between two runs is still recognised by its
 * lines' octets; what moved goes by the record made last. All functions but open and close may be called by
 * several threads.
 */

#include "base/base.h"
#include "model/report.h"

struct buf;
struct err;
struct journal;

enum { JOURNAL_KEY_HEX = 32 };

struct journal_key { unsigned char octets[16]; };
/* An id's key and a line's differ even where the octets are the same. */
struct journal_key journal_key_of_id(const char *id, size_t len);
struct journal_key journal_key_of_line(const char *line, size_t len);

/*
 * Make @path, or go on with it. One without entries (only begun, or empty) may be there without @resume;
 * one that is not there is made with @resume too, so that the same command line begins and goes on. A torn
 * last line is cut off. Errors: ERR_CANTCREAT (cannot be opened, or is no regular file), ERR_IO, ERR_USAGE
 * (in use by another run; has entries and no @resume), ERR_DATA (is no journal, is of another version, or a
 * whole line is damaged: nothing of such a file is changed).
 */
int journal_open(struct journal **ret, const char *path, bool resume, struct err *e) MUST_CHECK;

enum journal_state {
	JOURNAL_NEW,            /* nothing stands in the way: never begun, or all deferred or not attempted */
	JOURNAL_ACCEPTED,       /* by all */
	JOURNAL_REJECTED,       /* for all, for good: not to be sent again either */
	JOURNAL_UNKNOWN,        /* whoever is not in `settled` is in doubt: "sent", and no "done" behind it */
	JOURNAL_SOME,           /* whoever is not in `settled` is to be sent to, which may be nobody */
};

struct journal_rcpt { const char *addr; enum rcpt_state state; };

struct journal_past {
	enum journal_state state;               /* in one word */
	enum rcpt_state rest;                   /* of whoever is not in `settled`; PENDING: to be sent to */
	struct journal_rcpt *settled;           /* by address: ACCEPTED, REJECTED or UNKNOWN */
	size_t n_settled;
	unsigned long long line;                /* of its record, or of the first with its id; 0: none */
	char message_id[260];                   /* of the attempt before, to be taken again; or "" */
};

/*
 * What is known of the message with @key on @line; *ret is the caller's to clear.
 *
 * Without @unique the key is a line's: a record is given out once a run, that of the same line number
 * first, then any with that key. With @unique it is an id's, and stands for one message: *ret_repeated
 * where an earlier line of this run had it. Such a line must not be sent, whatever *ret says, which is what
 * is known until now (JOURNAL_NEW: nothing was written yet).
 *
 * Nothing is stored unless the journal is resumed or @unique: then about 48 octets a message.
 */
void journal_look_up(struct journal *j, const struct journal_key *key, unsigned long long line, bool unique,
		     struct journal_past *ret, bool *ret_repeated);
/* What became of @addr: ACCEPTED, REJECTED, UNKNOWN; or RCPT_PENDING: to be sent to. @past NULL: that. */
enum rcpt_state journal_past_of(const struct journal_past *past, const char *addr);
void journal_past_clear(struct journal_past *past);

/*
 * A record behind those of @out, for journal_write(). No I/O. @line from 1 to 2^48 - 1, @id NULL: none. -1:
 * no room; @out is as before.
 *
 * @past: what journal_look_up() said of the message. The record then has all of it: recipients that were
 * settled and so are not in @r, and the state that stands. Accepted stays so for ever, and what may have
 * been delivered before stays unknown where it is now deferred or not attempted.
 */
int journal_put_sent(struct buf *out, unsigned long long line, const struct journal_key *key, const char *id,
		     const char *message_id) MUST_CHECK;
int journal_put_done(struct buf *out, unsigned long long line, const struct journal_key *key, const char *id,
		     const struct report *r, const struct journal_past *past) MUST_CHECK;

/*
 * All @records in one write(2), not synced. ERR_IO: none of them counts; what was written of them is cut
 * off, now or before the next write, which fails as long as that cannot be done.
 */
int journal_write(struct journal *j, const struct buf *records, struct err *e) MUST_CHECK;
/*
 * All that was written before is on the disk: one fdatasync(2) serves all who wait for it. ERR_IO, and then
 * for ever: after a failure the kernel may have dropped the octets and would report success.
 */
int journal_sync(struct journal *j, struct err *e) MUST_CHECK;

void journal_close(struct journal *j);
DEFINE_CLEANUP(struct journal *, journal_close);
