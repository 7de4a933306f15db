/*
 * The mail transaction as two columns of text: what we send, what the server
 * says, and what became of each recipient.
 *
 * Script lines:   "> COMMAND"   the next command of the group that dialog_next() gave
 *                 "< 250 text"  a reply
 *                 "BODY"        dialog_next() asks for the message; "DOT" (or "DOT QUIT") we sent the dot
 *                 "DONE", "BROKEN", "LOST" (the connection went away)
 *                 "NO CHUNKING" this server does not know BDAT, the dialog has learnt
 *
 * With CHUNKING "BODY" comes right behind the envelope, while its replies are due, and "DOT" is the chunk's last octet.
 *
 * rows: RCP-01, RCP-02, RCP-03, RCP-04, RCP-05, RCP-07, LMT-01, LMT-03, SRV-49, SRV-50, SRV-55, SRV-60, SRV-61, SRV-66, MSG-15
 */

#include "check.h"

#include "base/buf.h"
#include "base/xalloc.h"
#include "model/envelope.h"
#include "model/message.h"
#include "net/dialog.h"

#include <stdlib.h>

struct dialog_case {
	const char *name;
	const char *ehlo;               /* keywords, '|' between */
	unsigned n_rcpt, max_rcpt;      /* r1@x … ; max_rcpt 0: 1000 */
	bool lmtp, all_or_nothing, once;
	bool no_chunking, reset_first;
	int64_t size;                   /* 0: unknown */
	bool eightbit, smtputf8, eai_second, dsn;
	const char *script;             /* lines, '\n' between */
	const char *fates;              /* "accepted rejected/550/recipient …" */
	int exit;
};

#define PIPE "PIPELINING|SIZE 1000|8BITMIME|DSN|SMTPUTF8"
#define CHUNKS "PIPELINING|CHUNKING"
#define CHUNK1 "> MAIL FROM:<s@x>\n> RCPT TO:<r1@x>\n> BDAT 10 LAST\nBODY\n"
#define CHUNK2 "> MAIL FROM:<s@x>\n> RCPT TO:<r1@x>\n> RCPT TO:<r2@x>\n> BDAT 10 LAST\nBODY\n"

static const struct dialog_case cases[] = {
	{ "one recipient, lock-step", "SIZE", 1, .size = 10, .script =
	  "> MAIL FROM:<s@x> SIZE=10\n< 250 ok\n> RCPT TO:<r1@x>\n< 250 ok\n> DATA\n< 354 go\nBODY\nDOT\n< 250 2.0.0 Ok: queued as 4XYZ\nDONE",
	  "accepted", 0 },
	{ "one group with PIPELINING, QUIT rides with the dot", PIPE, 2, .script =
	  "> MAIL FROM:<s@x>\n> RCPT TO:<r1@x>\n> RCPT TO:<r2@x>\n> DATA\n< 250 ok\n< 250 ok\n< 251 forwarded\n< 354 go\nBODY\nDOT QUIT\n< 250 ok\nDONE",
	  "accepted accepted", 0 },
	{ "a bad recipient does not sink the other", PIPE, 3, .script =
	  "> MAIL FROM:<s@x>\n> RCPT TO:<r1@x>\n> RCPT TO:<r2@x>\n> RCPT TO:<r3@x>\n> DATA\n< 250 ok\n< 250 ok\n< 550 5.1.1 no such user\n"
	  "< 450 4.2.0 later\n< 354 go\nBODY\nDOT QUIT\n< 250 ok\nDONE",
	  "accepted rejected/550/recipient deferred/450/recipient", 1 },
	{ "all refused, DATA refused with them", PIPE, 2, .script =
	  "> MAIL FROM:<s@x>\n> RCPT TO:<r1@x>\n> RCPT TO:<r2@x>\n> DATA\n< 250 ok\n< 550 no\n< 551 no\n< 503 no valid recipients\nDONE",
	  "rejected/550/recipient rejected/551/recipient", 67 },
	{ "all refused, 354 all the same: a lone dot, and its 250 is not acceptance", PIPE, 1, .script =
	  "> MAIL FROM:<s@x>\n> RCPT TO:<r1@x>\n> DATA\n< 250 ok\n< 550 no\n< 354 go\n> .\n< 250 thanks\nDONE",
	  "rejected/550/recipient", 67 },
	{ "mixed 450 and 550: 75 in both orders (1)", PIPE, 2, .script =
	  "> MAIL FROM:<s@x>\n> RCPT TO:<r1@x>\n> RCPT TO:<r2@x>\n> DATA\n< 250 ok\n< 550 no\n< 450 no\n< 503 no\nDONE",
	  "rejected/550/recipient deferred/450/recipient", 75 },
	{ "mixed 450 and 550: 75 in both orders (2)", PIPE, 2, .script =
	  "> MAIL FROM:<s@x>\n> RCPT TO:<r1@x>\n> RCPT TO:<r2@x>\n> DATA\n< 250 ok\n< 450 no\n< 550 no\n< 503 no\nDONE",
	  "deferred/450/recipient rejected/550/recipient", 75 },
	{ "all refused in lock-step: no DATA", "", 1, .script =
	  "> MAIL FROM:<s@x>\n< 250 ok\n> RCPT TO:<r1@x>\n< 550 no\nDONE", "rejected/550/recipient", 67 },
	{ "MAIL refused settles everyone; the echoes behind it do not count", PIPE, 2, .script =
	  "> MAIL FROM:<s@x>\n> RCPT TO:<r1@x>\n> RCPT TO:<r2@x>\n> DATA\n< 550 5.7.1 not you\n< 503 x\n< 503 x\n< 503 x\nDONE",
	  "rejected/550/sender rejected/550/sender", 69 },
	{ "MAIL deferred", "", 1, .script = "> MAIL FROM:<s@x>\n< 451 later\nDONE", "deferred/451/sender", 75 },
	{ "530 at MAIL is about authentication", "", 1, .script = "> MAIL FROM:<s@x>\n< 530 5.7.0 auth first\nDONE", "rejected/530/auth", 77 },
	{ "552 at MAIL is the size", "", 1, .script = "> MAIL FROM:<s@x>\n< 552 too big\nDONE", "rejected/552/size", 69 },
	{ "555 at MAIL is an extension", "", 1, .script = "> MAIL FROM:<s@x>\n< 555 what\nDONE", "rejected/555/extension", 69 },
	{ "MAIL answered with 354", "", 1, .script = "> MAIL FROM:<s@x>\n< 354 go\nBROKEN", "deferred/0/protocol", 76 },
	{ "421 at MAIL", "", 1, .script = "> MAIL FROM:<s@x>\n< 421 bye\nBROKEN", "deferred/421/lost", 75 },
	{ "421 amid RCPT: the 5xx stands", PIPE, 3, .script =
	  "> MAIL FROM:<s@x>\n> RCPT TO:<r1@x>\n> RCPT TO:<r2@x>\n> RCPT TO:<r3@x>\n> DATA\n< 250 ok\n< 550 no\n< 250 ok\n< 421 bye\nBROKEN",
	  "rejected/550/recipient deferred/421/lost deferred/421/lost", 75 },
	{ "close amid RCPT", PIPE, 2, .script =
	  "> MAIL FROM:<s@x>\n> RCPT TO:<r1@x>\n> RCPT TO:<r2@x>\n> DATA\n< 250 ok\n< 250 ok\nLOST\nBROKEN",
	  "deferred/0/lost deferred/0/lost", 75 },
	{ "DATA refused", PIPE, 1, .script = "> MAIL FROM:<s@x>\n> RCPT TO:<r1@x>\n> DATA\n< 250 ok\n< 250 ok\n< 554 no\nDONE",
	  "rejected/554/content", 65 },
	{ "DATA answered with 250: not a body octet", PIPE, 1, .script =
	  "> MAIL FROM:<s@x>\n> RCPT TO:<r1@x>\n> DATA\n< 250 ok\n< 250 ok\n< 250 ok\nBROKEN", "deferred/0/protocol", 76 },
	{ "DATA answered with 220", PIPE, 1, .script =
	  "> MAIL FROM:<s@x>\n> RCPT TO:<r1@x>\n> DATA\n< 250 ok\n< 250 ok\n< 220 ok\nBROKEN", "deferred/0/protocol", 76 },
	{ "354 and 250 in one segment: no dot", PIPE, 1, .script =
	  "> MAIL FROM:<s@x>\n> RCPT TO:<r1@x>\n> DATA\n< 250 ok\n< 250 ok\n< 354 go\n< 250 taken\nBROKEN", "deferred/0/protocol", 76 },
	{ "354 and 552 in one segment", PIPE, 1, .script =
	  "> MAIL FROM:<s@x>\n> RCPT TO:<r1@x>\n> DATA\n< 250 ok\n< 250 ok\n< 354 go\n< 552 full\nBROKEN", "rejected/552/content", 65 },
	{ "early 4xx amid the message", PIPE, 1, .script =
	  "> MAIL FROM:<s@x>\n> RCPT TO:<r1@x>\n> DATA\n< 250 ok\n< 250 ok\n< 354 go\nBODY\n< 451 stop\nBROKEN", "deferred/451/content", 75 },
	{ "early 2xx amid the message", PIPE, 1, .script =
	  "> MAIL FROM:<s@x>\n> RCPT TO:<r1@x>\n> DATA\n< 250 ok\n< 250 ok\n< 354 go\nBODY\n< 250 stop\nBROKEN", "deferred/0/protocol", 76 },
	{ "lost amid the message: certainly not delivered", PIPE, 1, .script =
	  "> MAIL FROM:<s@x>\n> RCPT TO:<r1@x>\n> DATA\n< 250 ok\n< 250 ok\n< 354 go\nBODY\nLOST\nBROKEN", "deferred/0/lost", 75 },
	{ "lost after the dot: unknown", PIPE, 2, .script =
	  "> MAIL FROM:<s@x>\n> RCPT TO:<r1@x>\n> RCPT TO:<r2@x>\n> DATA\n< 250 ok\n< 250 ok\n< 550 no\n< 354 go\nBODY\nDOT QUIT\nLOST\nBROKEN",
	  "unknown/0/lost rejected/550/recipient", 2 },
	{ "200 after the dot is acceptance", "", 1, .script =
	  "> MAIL FROM:<s@x>\n< 250 ok\n> RCPT TO:<r1@x>\n< 252 ok\n> DATA\n< 354 go\nBODY\nDOT\n< 200 ok\nDONE", "accepted", 0 },
	{ "221 after the dot answers something else", "", 1, .script =
	  "> MAIL FROM:<s@x>\n< 250 ok\n> RCPT TO:<r1@x>\n< 250 ok\n> DATA\n< 354 go\nBODY\nDOT\n< 221 bye\nBROKEN", "unknown/221/protocol", 2 },
	{ "354 after the dot", "", 1, .script =
	  "> MAIL FROM:<s@x>\n< 250 ok\n> RCPT TO:<r1@x>\n< 250 ok\n> DATA\n< 354 go\nBODY\nDOT\n< 354 more\nBROKEN", "unknown/354/protocol", 2 },
	{ "451 after the dot", "", 1, .script =
	  "> MAIL FROM:<s@x>\n< 250 ok\n> RCPT TO:<r1@x>\n< 250 ok\n> DATA\n< 354 go\nBODY\nDOT\n< 451 no\nDONE", "deferred/451/content", 75 },
	{ "421 after the dot: deferred, and no further command", "", 2, .max_rcpt = 1, .script =
	  "> MAIL FROM:<s@x>\n< 250 ok\n> RCPT TO:<r1@x>\n< 250 ok\n> DATA\n< 354 go\nBODY\nDOT\n< 421 no\nBROKEN",
	  "deferred/421/content pending", -1 },
	{ "554 after the dot", "", 1, .script =
	  "> MAIL FROM:<s@x>\n< 250 ok\n> RCPT TO:<r1@x>\n< 250 ok\n> DATA\n< 354 go\nBODY\nDOT\n< 554 spam\nDONE", "rejected/554/content", 65 },
	{ "split at max_rcpt", PIPE, 3, .max_rcpt = 2, .script =
	  "> MAIL FROM:<s@x>\n> RCPT TO:<r1@x>\n> RCPT TO:<r2@x>\n> DATA\n< 250 ok\n< 250 ok\n< 250 ok\n< 354 go\nBODY\nDOT\n< 250 ok\n"
	  "> MAIL FROM:<s@x>\n> RCPT TO:<r3@x>\n> DATA\n< 250 ok\n< 250 ok\n< 354 go\nBODY\nDOT QUIT\n< 250 ok\nDONE",
	  "accepted accepted accepted", 0 },
	{ "452 behind accepted ones: the rest in further transactions of that size", PIPE, 5, .script =
	  "> MAIL FROM:<s@x>\n> RCPT TO:<r1@x>\n> RCPT TO:<r2@x>\n> RCPT TO:<r3@x>\n> RCPT TO:<r4@x>\n> RCPT TO:<r5@x>\n> DATA\n"
	  "< 250 ok\n< 250 ok\n< 250 ok\n< 452 4.5.3 too many\n< 452 too many\n< 552 too many\n< 354 go\nBODY\nDOT\n< 250 ok\n"
	  "> MAIL FROM:<s@x>\n> RCPT TO:<r3@x>\n> RCPT TO:<r4@x>\n> DATA\n< 250 ok\n< 250 ok\n< 250 ok\n< 354 go\nBODY\nDOT\n< 250 ok\n"
	  "> MAIL FROM:<s@x>\n> RCPT TO:<r5@x>\n> DATA\n< 250 ok\n< 250 ok\n< 354 go\nBODY\nDOT QUIT\n< 250 ok\nDONE",
	  "accepted accepted accepted accepted accepted", 0 },
	{ "452 with none accepted before is the recipient's own answer", PIPE, 2, .script =
	  "> MAIL FROM:<s@x>\n> RCPT TO:<r1@x>\n> RCPT TO:<r2@x>\n> DATA\n< 250 ok\n< 452 full\n< 250 ok\n< 354 go\nBODY\nDOT QUIT\n< 250 ok\nDONE",
	  "deferred/452/recipient accepted", 1 },
	{ "RCPTMAX of LIMITS", "PIPELINING|LIMITS RCPTMAX=1", 2, .script =
	  "> MAIL FROM:<s@x>\n> RCPT TO:<r1@x>\n> DATA\n< 250 ok\n< 250 ok\n< 354 go\nBODY\nDOT\n< 250 ok\n"
	  "> MAIL FROM:<s@x>\n> RCPT TO:<r2@x>\n> DATA\n< 250 ok\n< 250 ok\n< 354 go\nBODY\nDOT QUIT\n< 250 ok\nDONE",
	  "accepted accepted", 0 },
	{ "a refused group of recipients, then the next: RSET first", PIPE, 2, .max_rcpt = 1, .script =
	  "> MAIL FROM:<s@x>\n> RCPT TO:<r1@x>\n> DATA\n< 250 ok\n< 550 no\n< 503 no\n"
	  "> RSET\n> MAIL FROM:<s@x>\n> RCPT TO:<r2@x>\n> DATA\n< 250 ok\n< 250 ok\n< 250 ok\n< 354 go\nBODY\nDOT QUIT\n< 250 ok\nDONE",
	  "rejected/550/recipient accepted", 1 },
	{ "all_or_nothing waits for the recipients, then DATA", PIPE, 2, .all_or_nothing = true, .script =
	  "> MAIL FROM:<s@x>\n> RCPT TO:<r1@x>\n> RCPT TO:<r2@x>\n< 250 ok\n< 250 ok\n< 250 ok\n> DATA\n< 354 go\nBODY\nDOT QUIT\n< 250 ok\nDONE",
	  "accepted accepted", 0 },
	{ "all_or_nothing: one refused, no DATA", PIPE, 3, .all_or_nothing = true, .script =
	  "> MAIL FROM:<s@x>\n> RCPT TO:<r1@x>\n> RCPT TO:<r2@x>\n> RCPT TO:<r3@x>\n< 250 ok\n< 250 ok\n< 550 no\n< 250 ok\nDONE",
	  "not_attempted/0/recipient rejected/550/recipient not_attempted/0/recipient", 67 },
	{ "all_or_nothing: 452 behind accepted ones is 75", PIPE, 2, .all_or_nothing = true, .script =
	  "> MAIL FROM:<s@x>\n> RCPT TO:<r1@x>\n> RCPT TO:<r2@x>\n< 250 ok\n< 250 ok\n< 452 many\nDONE",
	  "not_attempted/0/recipient deferred/452/recipient", 75 },
	{ "LMTP: each recipient its own reply", PIPE, 3, .lmtp = true, .script =
	  "> MAIL FROM:<s@x>\n> RCPT TO:<r1@x>\n> RCPT TO:<r2@x>\n> RCPT TO:<r3@x>\n> DATA\n< 250 ok\n< 250 ok\n< 250 ok\n< 250 ok\n< 354 go\n"
	  "BODY\nDOT QUIT\n< 250 ok\n< 550 5.2.2 over quota\n< 452 later\nDONE", "accepted rejected/550/recipient deferred/452/recipient", 1 },
	{ "LMTP: no reply for a recipient that RCPT refused", PIPE, 3, .lmtp = true, .script =
	  "> MAIL FROM:<s@x>\n> RCPT TO:<r1@x>\n> RCPT TO:<r2@x>\n> RCPT TO:<r3@x>\n> DATA\n< 250 ok\n< 250 ok\n< 550 no\n< 250 ok\n< 354 go\n"
	  "BODY\nDOT QUIT\n< 250 ok\n< 250 ok\nDONE", "accepted rejected/550/recipient accepted", 1 },
	{ "LMTP: lost after the first reply", PIPE, 2, .lmtp = true, .script =
	  "> MAIL FROM:<s@x>\n> RCPT TO:<r1@x>\n> RCPT TO:<r2@x>\n> DATA\n< 250 ok\n< 250 ok\n< 250 ok\n< 354 go\nBODY\nDOT QUIT\n< 250 ok\nLOST\nBROKEN",
	  "accepted unknown/0/lost", 1 },
	{ "larger than SIZE: refused before MAIL", PIPE, 1, .size = 1001, .script = "DONE", "not_attempted/0/size", 69 },
	{ "exactly SIZE", PIPE, 1, .size = 1000, .script =
	  "> MAIL FROM:<s@x> SIZE=1000\n> RCPT TO:<r1@x>\n> DATA\n< 250 ok\n< 250 ok\n< 354 go\nBODY\nDOT QUIT\n< 250 ok\nDONE", "accepted", 0 },
	{ "SIZE 0 is no limit", "PIPELINING|SIZE 0", 1, .size = 5000, .script =
	  "> MAIL FROM:<s@x> SIZE=5000\n> RCPT TO:<r1@x>\n> DATA\n< 250 ok\n< 250 ok\n< 354 go\nBODY\nDOT QUIT\n< 250 ok\nDONE", "accepted", 0 },
	{ "8-bit with 8BITMIME", PIPE, 1, .eightbit = true, .script =
	  "> MAIL FROM:<s@x> BODY=8BITMIME\n> RCPT TO:<r1@x>\n> DATA\n< 250 ok\n< 250 ok\n< 354 go\nBODY\nDOT QUIT\n< 250 ok\nDONE", "accepted", 0 },
	{ "8-bit without 8BITMIME, and no 7-bit rendering", "SIZE", 1, .eightbit = true, .script = "DONE", "not_attempted/0/extension", 69 },
	{ "an EAI header address without SMTPUTF8", "SIZE", 2, .smtputf8 = true, .script = "DONE",
	  "not_attempted/0/extension not_attempted/0/extension", 69 },
	{ "an EAI recipient without SMTPUTF8 is refused alone", "PIPELINING", 2, .eai_second = true, .script =
	  "> MAIL FROM:<s@x>\n> RCPT TO:<r1@x>\n> DATA\n< 250 ok\n< 250 ok\n< 354 go\nBODY\nDOT QUIT\n< 250 ok\nDONE",
	  "accepted rejected/0/extension", 1 },
	{ "the same with all_or_nothing: nothing is sent", "PIPELINING", 2, .eai_second = true, .all_or_nothing = true, .script = "DONE",
	  "not_attempted/0/recipient rejected/0/extension", 69 },
	{ "an EAI recipient with SMTPUTF8", PIPE, 2, .eai_second = true, .script =
	  "> MAIL FROM:<s@x> SMTPUTF8\n> RCPT TO:<r1@x>\n> RCPT TO:<\xc3\xbc@x>\n> DATA\n< 250 ok\n< 250 ok\n< 250 ok\n< 354 go\nBODY\nDOT QUIT\n< 250 ok\nDONE",
	  "accepted accepted", 0 },
	{ "DSN", PIPE, 2, .dsn = true, .script =
	  "> MAIL FROM:<s@x> RET=HDRS ENVID=id+2B1\n> RCPT TO:<r1@x> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;r1@x\n> RCPT TO:<r2@x>\n> DATA\n"
	  "< 250 ok\n< 250 ok\n< 250 ok\n< 354 go\nBODY\nDOT QUIT\n< 250 ok\nDONE", "accepted accepted", 0 },
	{ "DSN asked and not offered", "PIPELINING", 1, .dsn = true, .script = "DONE", "not_attempted/0/extension", 69 },
	{ "a stream takes everybody in one transaction", PIPE, 3, .max_rcpt = 2, .once = true, .script =
	  "> MAIL FROM:<s@x>\n> RCPT TO:<r1@x>\n> RCPT TO:<r2@x>\n> RCPT TO:<r3@x>\n> DATA\n< 250 ok\n< 250 ok\n< 250 ok\n< 452 no\n< 354 go\n"
	  "BODY\nDOT QUIT\n< 250 ok\nDONE", "accepted accepted deferred/452/recipient", 1 },
	{ "a chunk right behind its envelope, QUIT with it", CHUNKS, 1, .size = 10, .script =
	  CHUNK1 "DOT QUIT\n< 250 ok\n< 250 ok\n< 250 2.0.0 Ok: queued as 4XYZ\nDONE", "accepted", 0 },
	{ "its envelope is answered while it is sent", CHUNKS "|SIZE", 2, .size = 10, .script =
	  "> MAIL FROM:<s@x> SIZE=10\n> RCPT TO:<r1@x>\n> RCPT TO:<r2@x>\n> BDAT 10 LAST\nBODY\n< 250 2.1.0 ok\n< 250 2.1.5 ok\nBODY\n"
	  "< 251 2.1.5 ok\nDOT QUIT\n< 250 ok\nDONE", "accepted accepted", 0 },
	{ "chunk: any 2xx is acceptance", CHUNKS, 1, .size = 10, .script = CHUNK1 "DOT QUIT\n< 250 ok\n< 250 ok\n< 252 ok\nDONE", "accepted", 0 },
	{ "chunk: a recipient refused", CHUNKS, 2, .size = 10, .script =
	  CHUNK2 "DOT QUIT\n< 250 ok\n< 550 no\n< 250 ok\n< 250 ok\nDONE", "rejected/550/recipient accepted", 1 },
	{ "chunk: a recipient refused, then the chunk", CHUNKS, 2, .size = 10, .script =
	  CHUNK2 "DOT QUIT\n< 250 ok\n< 550 no\n< 250 ok\n< 452 full\nDONE", "rejected/550/recipient deferred/452/content", 75 },
	{ "chunk: all refused, BDAT 503", CHUNKS, 2, .size = 10, .script =
	  CHUNK2 "DOT QUIT\n< 250 ok\n< 550 no\n< 551 no\n< 503 no recipients\nDONE", "rejected/550/recipient rejected/551/recipient", 67 },
	{ "chunk: all refused, BDAT 554", CHUNKS, 2, .size = 10, .script =
	  CHUNK2 "DOT QUIT\n< 250 ok\n< 450 no\n< 550 no\n< 554 no recipients\nDONE", "deferred/450/recipient rejected/550/recipient", 75 },
	{ "chunk: all refused, and BDAT's 250 is not acceptance", CHUNKS, 1, .size = 10, .script =
	  CHUNK1 "DOT QUIT\n< 250 ok\n< 550 no\n< 250 thanks\nDONE", "rejected/550/recipient", 67 },
	{ "chunk: all refused, BDAT 502: it was not wanted, and is not unknown", CHUNKS, 1, .size = 10, .script =
	  CHUNK1 "DOT QUIT\n< 250 ok\n< 550 no\n< 502 no\nDONE", "rejected/550/recipient", 67 },
	{ "chunk: all refused, 421 at BDAT", CHUNKS, 1, .size = 10, .script =
	  CHUNK1 "DOT QUIT\n< 250 ok\n< 550 no\n< 421 bye\nBROKEN", "rejected/550/recipient", 67 },
	{ "chunk: all refused, then lost: nobody could get it", CHUNKS, 1, .size = 10, .script =
	  CHUNK1 "DOT QUIT\n< 250 ok\n< 550 no\nLOST\nBROKEN", "rejected/550/recipient", 67 },
	{ "chunk: all refused before it was all there", CHUNKS, 1, .size = 10, .script =
	  CHUNK1 "< 250 ok\n< 550 no\n< 503 no\nBODY\nDOT QUIT\nDONE", "rejected/550/recipient", 67 },
	{ "chunk: MAIL refused, echoes behind it", CHUNKS, 2, .size = 10, .script =
	  CHUNK2 "DOT QUIT\n< 550 5.7.1 not you\n< 503 x\n< 503 x\n< 503 x\nDONE", "rejected/550/sender rejected/550/sender", 69 },
	{ "chunk: MAIL refused, and the rest answered yes all the same", CHUNKS, 1, .size = 10, .script =
	  CHUNK1 "DOT QUIT\n< 451 later\n< 250 ok\n< 250 ok\nDONE", "deferred/451/sender", 75 },
	{ "chunk: MAIL refused, then lost", CHUNKS, 1, .size = 10, .script = CHUNK1 "DOT QUIT\n< 550 no\nLOST\nBROKEN", "rejected/550/sender", 69 },
	{ "421 at MAIL with the chunk out: certainly not delivered", CHUNKS, 2, .size = 10, .script =
	  CHUNK2 "DOT QUIT\n< 421 bye\nBROKEN", "deferred/421/lost deferred/421/lost", 75 },
	{ "421 at RCPT with the chunk out: the 5xx stands", CHUNKS, 2, .size = 10, .script =
	  CHUNK2 "DOT QUIT\n< 250 ok\n< 550 no\n< 421 bye\nBROKEN", "rejected/550/recipient deferred/421/lost", 75 },
	{ "421 at the second RCPT, one accepted", CHUNKS, 2, .size = 10, .script =
	  CHUNK2 "DOT QUIT\n< 250 ok\n< 250 ok\n< 421 bye\nBROKEN", "deferred/421/lost deferred/421/lost", 75 },
	{ "421 to BDAT", CHUNKS, 1, .size = 10, .script = CHUNK1 "DOT QUIT\n< 250 ok\n< 250 ok\n< 421 bye\nBROKEN", "deferred/421/content", 75 },
	{ "421 to BDAT before it was all there", CHUNKS, 1, .size = 10, .script =
	  CHUNK1 "< 250 ok\n< 250 ok\n< 421 bye\nBROKEN", "deferred/421/content", 75 },
	{ "lost after the chunk: unknown", CHUNKS, 1, .size = 10, .script = CHUNK1 "DOT QUIT\nLOST\nBROKEN", "unknown/0/lost", 2 },
	{ "lost after the chunk and some replies", CHUNKS, 2, .size = 10, .script =
	  CHUNK2 "DOT QUIT\n< 250 ok\n< 550 no\nLOST\nBROKEN", "rejected/550/recipient unknown/0/lost", 2 },
	{ "lost amid the chunk: certainly not delivered", CHUNKS, 2, .size = 10, .script =
	  CHUNK2 "< 250 ok\n< 550 no\nLOST\nBROKEN", "rejected/550/recipient deferred/0/lost", 75 },
	{ "BDAT 502: once more without", CHUNKS, 2, .size = 10, .script =
	  CHUNK2 "DOT QUIT\n< 250 ok\n< 250 ok\n< 550 no\n< 502 5.5.1 what\nNO CHUNKING\nBROKEN", "deferred/0/protocol rejected/550/recipient", 76 },
	{ "BDAT 500: once more without", CHUNKS, 1, .size = 10, .script =
	  CHUNK1 "DOT QUIT\n< 250 ok\n< 250 ok\n< 500 what\nNO CHUNKING\nBROKEN", "deferred/0/protocol", 76 },
	{ "BDAT 502 before the chunk was all there: once more without", CHUNKS, 1, .size = 10, .script =
	  CHUNK1 "< 250 ok\n< 250 ok\n< 502 5.5.1 what\nNO CHUNKING\nBROKEN", "deferred/0/protocol", 76 },
	{ "where BDAT is known to be unknown, DATA", CHUNKS, 1, .size = 10, .no_chunking = true, .script =
	  "> MAIL FROM:<s@x>\n> RCPT TO:<r1@x>\n> DATA\n< 250 ok\n< 250 ok\n< 354 go\nBODY\nDOT QUIT\n< 250 ok\nDONE", "accepted", 0 },
	{ "out of step: BDAT answered about an address", CHUNKS, 1, .size = 10, .script =
	  CHUNK1 "DOT QUIT\n< 250 ok\n< 250 2.1.0 ok\n< 250 2.1.5 ok\nBROKEN", "unknown/0/protocol", 2 },
	{ "out of step: RSET answered about an address", CHUNKS, 1, .size = 10, .reset_first = true, .script =
	  "> RSET\n" CHUNK1 "DOT QUIT\n< 250 2.1.0 ok\nBROKEN", "unknown/0/protocol", 2 },
	{ "chunk: MAIL answered with 354", CHUNKS, 1, .size = 10, .script = CHUNK1 "DOT QUIT\n< 354 go\nBROKEN", "unknown/0/protocol", 2 },
	{ "chunk: answered with 354", CHUNKS, 1, .size = 10, .script =
	  CHUNK1 "DOT QUIT\n< 250 ok\n< 250 ok\n< 354 go\nBROKEN", "unknown/354/protocol", 2 },
	{ "chunk: answered with 221", CHUNKS, 1, .size = 10, .script =
	  CHUNK1 "DOT QUIT\n< 250 ok\n< 250 ok\n< 221 bye\nBROKEN", "unknown/221/protocol", 2 },
	{ "RSET before the chunk's envelope, where one was left open", CHUNKS, 1, .size = 10, .reset_first = true, .script =
	  "> RSET\n" CHUNK1 "DOT QUIT\n< 250 ok\n< 250 ok\n< 250 ok\n< 250 ok\nDONE", "accepted", 0 },
	{ "RSET refused", CHUNKS, 1, .size = 10, .reset_first = true, .script = "> RSET\n" CHUNK1 "DOT QUIT\n< 500 what\nBROKEN", "unknown/0/protocol", 2 },
	{ "421 to RSET: certainly not delivered", CHUNKS, 1, .size = 10, .reset_first = true, .script =
	  "> RSET\n" CHUNK1 "DOT QUIT\n< 421 bye\nBROKEN", "deferred/421/lost", 75 },
	{ "a chunk of 256 KiB does not wait", CHUNKS, 1, .size = 262144, .script =
	  "> MAIL FROM:<s@x>\n> RCPT TO:<r1@x>\n> BDAT 262144 LAST\nBODY\nDOT QUIT\n< 250 ok\n< 250 ok\n< 250 ok\nDONE", "accepted", 0 },
	{ "a larger one waits for its envelope", CHUNKS, 2, .size = 262145, .script =
	  "> MAIL FROM:<s@x>\n> RCPT TO:<r1@x>\n> RCPT TO:<r2@x>\n< 250 ok\n< 250 ok\n< 550 no\n> BDAT 262145 LAST\nBODY\nDOT QUIT\n< 250 ok\nDONE",
	  "accepted rejected/550/recipient", 1 },
	{ "a larger one that nobody is to get does not go", CHUNKS, 1, .size = 262145, .script =
	  "> MAIL FROM:<s@x>\n> RCPT TO:<r1@x>\n< 250 ok\n< 550 no\nDONE", "rejected/550/recipient", 67 },
	{ "a larger one, MAIL refused", CHUNKS, 1, .size = 262145, .script =
	  "> MAIL FROM:<s@x>\n> RCPT TO:<r1@x>\n< 451 no\n< 503 no\nDONE", "deferred/451/sender", 75 },
	{ "a larger one, BDAT 502 while it is sent", CHUNKS, 1, .size = 262145, .script =
	  "> MAIL FROM:<s@x>\n> RCPT TO:<r1@x>\n< 250 ok\n< 250 ok\n> BDAT 262145 LAST\nBODY\n< 502 what\nNO CHUNKING\nBROKEN",
	  "deferred/0/protocol", 76 },
	{ "LMTP: one recipient by BDAT", CHUNKS, 1, .size = 10, .lmtp = true, .script =
	  CHUNK1 "DOT QUIT\n< 250 ok\n< 250 ok\n< 452 full\nDONE", "deferred/452/recipient", 75 },
	{ "LMTP: two by DATA", CHUNKS, 2, .size = 10, .lmtp = true, .script =
	  "> MAIL FROM:<s@x>\n> RCPT TO:<r1@x>\n> RCPT TO:<r2@x>\n> DATA\n< 250 ok\n< 250 ok\n< 250 ok\n< 354 go\nBODY\nDOT QUIT\n< 250 ok\n"
	  "< 552 full\nDONE", "accepted rejected/552/recipient", 1 },
	{ "LMTP: two transactions of one, each by BDAT", CHUNKS, 2, .max_rcpt = 1, .size = 10, .lmtp = true, .script =
	  CHUNK1 "DOT\n< 250 ok\n< 250 ok\n< 250 ok\n> MAIL FROM:<s@x>\n> RCPT TO:<r2@x>\n> BDAT 10 LAST\nBODY\nDOT QUIT\n< 250 ok\n< 250 ok\n"
	  "< 552 full\nDONE", "accepted rejected/552/recipient", 1 },
	{ "LMTP chunk: refused at RCPT, 421 at BDAT", CHUNKS, 1, .size = 10, .lmtp = true, .script =
	  CHUNK1 "DOT QUIT\n< 250 ok\n< 550 no\n< 421 bye\nBROKEN", "rejected/550/recipient", 67 },
	{ "LMTP chunk: refused at RCPT, BDAT 503", CHUNKS, 1, .size = 10, .lmtp = true, .script =
	  CHUNK1 "DOT QUIT\n< 250 ok\n< 550 no\n< 503 no\nDONE", "rejected/550/recipient", 67 },
	{ "LMTP chunk: 421 at BDAT", CHUNKS, 1, .size = 10, .lmtp = true, .script =
	  CHUNK1 "DOT QUIT\n< 250 ok\n< 250 ok\n< 421 bye\nBROKEN", "deferred/421/recipient", 75 },
	{ "all_or_nothing: no BDAT", CHUNKS, 2, .size = 10, .all_or_nothing = true, .script =
	  "> MAIL FROM:<s@x>\n> RCPT TO:<r1@x>\n> RCPT TO:<r2@x>\n< 250 ok\n< 250 ok\n< 250 ok\n> DATA\n< 354 go\nBODY\nDOT QUIT\n< 250 ok\nDONE",
	  "accepted accepted", 0 },
	{ "no BDAT where the size is not known", CHUNKS, 1, .script =
	  "> MAIL FROM:<s@x>\n> RCPT TO:<r1@x>\n> DATA\n< 250 ok\n< 250 ok\n< 354 go\nBODY\nDOT QUIT\n< 250 ok\nDONE", "accepted", 0 },
	{ "no BDAT without PIPELINING", "CHUNKING", 1, .size = 10, .script =
	  "> MAIL FROM:<s@x>\n< 250 ok\n> RCPT TO:<r1@x>\n< 250 ok\n> DATA\n< 354 go\nBODY\nDOT\n< 250 ok\nDONE", "accepted", 0 },
	{ "chunk: early 5xx", CHUNKS, 1, .size = 10, .script = CHUNK1 "< 250 ok\n< 250 ok\n< 552 full\nBROKEN", "rejected/552/content", 65 },
	{ "chunk: early 4xx", CHUNKS, 1, .size = 10, .script = CHUNK1 "< 250 ok\n< 250 ok\n< 451 stop\nBROKEN", "deferred/451/content", 75 },
	{ "chunk: early 2xx", CHUNKS, 1, .size = 10, .script = CHUNK1 "< 250 ok\n< 250 ok\n< 250 stop\nBROKEN", "deferred/0/protocol", 76 },
	{ "chunk: split at max_rcpt, no RSET behind what was accepted", CHUNKS, 2, .max_rcpt = 1, .size = 10, .script =
	  CHUNK1 "DOT\n< 250 ok\n< 250 ok\n< 250 ok\n> MAIL FROM:<s@x>\n> RCPT TO:<r2@x>\n> BDAT 10 LAST\nBODY\nDOT QUIT\n< 250 ok\n< 250 ok\n"
	  "< 250 ok\nDONE", "accepted accepted", 0 },
	{ "chunk: a refused transaction, then RSET and the next", CHUNKS, 2, .max_rcpt = 1, .size = 10, .script =
	  CHUNK1 "DOT\n< 250 ok\n< 550 no\n< 503 no\n> RSET\n> MAIL FROM:<s@x>\n> RCPT TO:<r2@x>\n> BDAT 10 LAST\nBODY\nDOT QUIT\n< 250 ok\n< 250 ok\n"
	  "< 250 ok\n< 250 ok\nDONE", "rejected/550/recipient accepted", 1 },
	{ "chunk: 452 behind an accepted one: the rest in a further transaction", CHUNKS, 2, .size = 10, .script =
	  CHUNK2 "DOT QUIT\n< 250 ok\n< 250 ok\n< 452 many\n< 250 ok\n> MAIL FROM:<s@x>\n> RCPT TO:<r2@x>\n> BDAT 10 LAST\nBODY\nDOT QUIT\n< 250 ok\n"
	  "< 250 ok\n< 250 ok\nDONE", "accepted accepted", 0 },
	{ "the enhanced code must agree with the basic one", PIPE, 1, .script =
	  "> MAIL FROM:<s@x>\n> RCPT TO:<r1@x>\n> DATA\n< 250 ok\n< 250 ok\n< 354 go\nBODY\nDOT QUIT\n< 250 5.1.1 fine\nDONE", "accepted", 0 },
};

static void make_envelope(struct envelope *env, const struct dialog_case *c)
{
	*env = (struct envelope){ .from = xstrdup("s@x"), .n_rcpt = c->n_rcpt };
	env->rcpt = xcalloc(c->n_rcpt, sizeof(*env->rcpt));
	for (unsigned i = 0; i < c->n_rcpt; i++)
		env->rcpt[i].addr = xasprintf("r%u@x", i + 1);
	if (c->eai_second) {
		free(env->rcpt[1].addr);
		env->rcpt[1].addr = xstrdup("\xc3\xbc@x");
		env->rcpt[1].eai = true;
	}
	if (c->dsn) {
		env->ret = 2;
		env->envid = xstrdup("id+2B1");
		env->rcpt[0].notify = NOTIFY_SUCCESS | NOTIFY_DELAY;
		env->rcpt[0].orcpt = xstrdup("rfc822;r1@x");
	}
}

static void make_capabilities(struct capabilities *cap, const char *ehlo)
{
	capabilities_init(cap);
	cap->esmtp = true;
	for (const char *at = ehlo; *at; ) {
		size_t len = strcspn(at, "|");

		capabilities_heard(cap, at, len);
		at += len + (at[len] == '|');
	}
}

static void fates_text(const struct report *r, char *out, size_t cap)
{
	size_t used = 0;

	out[0] = '\0';
	for (size_t i = 0; i < r->n_rcpt && used < cap; i++) {
		const struct rcpt_result *c = &r->rcpt[i];

		used += (size_t)snprintf(out + used, cap - used, "%s%s", i ? " " : "", rcpt_state_name(c->state));
		if (c->state != RCPT_ACCEPTED && c->state != RCPT_PENDING)
			used += (size_t)snprintf(out + used, cap - used, "/%d/%s", c->code, cause_name(c->cause));
	}
}

/* The next command of @out against the script's line. */
static bool take_command(struct buf *out, size_t *at, const char *want, size_t len)
{
	const char *eol = memchr(out->data + *at, '\r', out->len - *at);
	size_t n = eol ? (size_t)(eol - out->data) - *at : 0;
	bool same = eol && n == len && !memcmp(out->data + *at, want, len);

	if (!same)
		printf("# sent '%.*s', want '%.*s'\n", (int)n, out->data + *at, (int)len, want);
	*at += n + 2;
	return same;
}

static bool is_need(const char *line, size_t len, enum dialog_need need)
{
	static const char *const name[] = { "WAIT", "BODY", "DONE", "BROKEN" };
	bool same = strlen(name[need]) == len && !memcmp(line, name[need], len);

	if (!same)
		printf("# needs %s, want '%.*s'\n", name[need], (int)len, line);
	return same;
}

static bool step(struct dialog *d, struct buf *out, size_t *at, const char *line, size_t len)
{
	static const char gone[] = "gone";
	struct verdict lost = { .state = RCPT_DEFERRED, .cause = CAUSE_LOST, .text = gone, .len = 4 };

	if (line[0] == '<') {
		int code = atoi(line + 2);
		enum dialog_phase before = d->phase;
		int r = dialog_heard(d, code, line + 6, len > 6 ? len - 6 : 0);

		return r == 0 || d->phase == PHASE_BROKEN || before == PHASE_BROKEN;
	}
	if (len >= 3 && !memcmp(line, "DOT", 3)) {
		bool rides = len > 3;

		if (dialog_quit_rides(d) != rides) {
			printf("# QUIT rides: %d\n", !rides);
			return false;
		}
		dialog_dot_sent(d);
		return true;
	}
	if (len == 4 && !memcmp(line, "LOST", 4)) {
		dialog_lost(d, &lost);
		return true;
	}
	if (len == 11 && !memcmp(line, "NO CHUNKING", 11))
		return d->chunking_refused;
	if (*at == out->len) {
		enum dialog_need need;

		buf_reset(out);
		*at = 0;
		need = dialog_next(d, out);
		if (line[0] != '>')
			return is_need(line, len, need);
	}
	return line[0] == '>' && take_command(out, at, line + 2, len - 2);
}

static void run_case(const struct dialog_case *c)
{
	struct envelope env;
	struct capabilities cap;
	struct report report;
	struct message_needs needs = { .size = c->size ? c->size : -1, .size_seven = -1, .eightbit = c->eightbit,
				       .smtputf8 = c->smtputf8, .once = c->once };
	struct buf out = BUF_INIT(1 << 20);
	bool todo[16], good = true;
	struct dialog d;
	size_t at = 0;
	char got[512];

	test_case("%s", c->name);
	make_envelope(&env, c);
	make_capabilities(&cap, c->ehlo);
	report_init(&report, &env);
	memset(todo, true, sizeof(todo));
	d = (struct dialog){ .env = &env, .cap = &cap, .needs = &needs, .report = &report, .todo = todo, .lmtp = c->lmtp,
			     .all_or_nothing = c->all_or_nothing, .once = c->once, .no_chunking = c->no_chunking, .max_rcpt = c->max_rcpt ? c->max_rcpt : 1000 };
	dialog_init(&d);
	d.reset_first = c->reset_first;
	for (const char *line = c->script; *line && good; ) {
		size_t len = strcspn(line, "\n");

		good = step(&d, &out, &at, line, len);
		if (!good)
			printf("# at '%.*s'\n", (int)len, line);
		line += len + (line[len] == '\n');
	}
	check(good);
	check_int(at, out.len);
	fates_text(&report, got, sizeof(got));
	check_str(got, c->fates);
	if (c->exit >= 0)
		check_int(report_exit_code(&report), c->exit);
	dialog_clear(&d);
	buf_clear(&out);
	report_clear(&report);
	envelope_clear(&env);
}

/* rows: RCP-04, CLI-15 */
static void many(size_t n, size_t limit)
{
	struct envelope env = { .from = xstrdup(""), .n_rcpt = n, .rcpt = xcalloc(n, sizeof(*env.rcpt)) };
	struct capabilities cap;
	struct report report;
	struct message_needs needs = { .size = -1 };
	struct buf out = BUF_INIT(1 << 28);
	bool *todo = malloc(n);
	struct dialog d = { .env = &env, .cap = &cap, .needs = &needs, .report = &report, .todo = todo, .max_rcpt = 1000 };
	size_t heard = 0, transactions = 0;

	test_case("%zu recipients, the server takes %zu a transaction", n, limit);
	make_capabilities(&cap, "PIPELINING");
	for (size_t i = 0; i < n; i++)
		env.rcpt[i].addr = xasprintf("user%zu@example.org", i);
	memset(todo, true, n);
	report_init(&report, &env);
	dialog_init(&d);
	for (enum dialog_need need; (need = dialog_next(&d, &out)) != DIALOG_DONE; ) {
		size_t taken = 0;

		if (need == DIALOG_BODY) {
			dialog_dot_sent(&d);
			transactions++;
			if (dialog_heard(&d, 250, "ok", 2) < 0)
				break;
			continue;
		}
		if (need == DIALOG_BROKEN)
			break;
		for (char *line = out.data; line < out.data + out.len; line = strchr(line, '\n') + 1) {
			bool rcpt = line[0] == 'R' && line[1] == 'C';
			int code = line[0] == 'D' ? 354 : rcpt && taken == limit ? 452 : 250;

			taken += rcpt && code == 250;
			heard += rcpt && code == 250;
			if (dialog_heard(&d, code, "x", 1) < 0)
				break;
		}
		buf_reset(&out);
	}
	check_int(heard, n);
	check_int(report_exit_code(&report), 0);
	check_int(transactions, limit < 1000 ? 1 + (n - limit + limit - 1) / limit : (n + 999) / 1000);
	dialog_clear(&d);
	buf_clear(&out);
	report_clear(&report);
	envelope_clear(&env);
	free(todo);
}

int main(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		run_case(&cases[i]);
	many(1, 5000);
	many(1001, 5000);
	many(1000, 100);
	many(100000, 5000);
	return check_done();
}
