/*
 * Flags, by getopt_long() over an array made from the table.
 *
 * getopt's own messages are off: ours name the nearest flag, and never repeat
 * a value, which may be a secret that was given the wrong way. Words that are
 * not flags come back in order (the '-' in front of the short options), so
 * recipients and flags may mix whatever POSIXLY_CORRECT says.
 */

#include "input/input.h"

#include "base/err.h"
#include "base/utf8.h"
#include "base/xalloc.h"
#include "input/words.h"
#include "model/mail_params.h"
#include "model/value.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	FLAG_ROOM = PARAM_NAME_ROOM + 16,       /* "no-", or "-command" behind the name of a secret */
	SHOWN = 160,
	WORD = 1,                       /* what getopt_long() gives for a word that is no flag */
	LONG = 256,                     /* its values for long options start here, above every letter */
};

/* What a long option stands for. */
enum form { FORM_PLAIN, FORM_NO, FORM_SECRET };
struct flag {
	char name[FLAG_ROOM];
	/* the same flag by the setting's name, where this is by its alias; else itself */
	size_t canonical;
	const struct param *param;
	enum form form;
	const char *secret;             /* FORM_SECRET: the key of its object */
};

struct flags {
	struct flag *flag;
	struct option *option;          /* for getopt_long(), in the same order */
	size_t count, cap;
	char letters[2 * 64 + 4];
};

static void flags_clear(struct flags *f)
{
	free(f->flag);
	free(f->option);
}

static bool takes_value(const struct param *p)
{
	return p->type != PARAM_BOOL && p->arg;
}

/* "no-name", "name" or "name-after". */
static void add_flag(struct flags *f, const struct param *p, enum form form, const char *name,
		     const char *after)
{
	char word[PARAM_NAME_ROOM];
	struct flag *flag;

	if (f->count == f->cap) {
		f->cap = f->cap ? f->cap * 2 : 128;
		f->flag = xreallocarray(f->flag, f->cap, sizeof(*f->flag));
	}
	flag = &f->flag[f->count++];
	*flag = (struct flag){ .canonical = f->count - 1, .param = p, .form = form, .secret = after };
	param_flag(word, name);
	snprintf(flag->name, sizeof(flag->name), "%s%s%s%s", form == FORM_NO ? "no-" : "", word,
		 after ? "-" : "", after ? after : "");
}

static void add_flags_of(struct flags *f, const struct param *p, const char *name)
{
	/*
	 * A secret has its plain form too, so that it is refused with advice and not taken for an
	 * abbreviation.
	 */
	add_flag(f, p, FORM_PLAIN, name, NULL);
	if (p->type == PARAM_BOOL)
		add_flag(f, p, FORM_NO, name, NULL);
	for (size_t i = 0; p->type == PARAM_SECRET && i < ARRAY_SIZE(secret_forms); i++)
		add_flag(f, p, FORM_SECRET, name, secret_forms[i]);
}

/*
 * By its name, and by its alias: an abbreviation of both is then no ambiguity, for getopt_long() gives one
 * value.
 */
static void add_param(struct flags *f, const struct param *p)
{
	size_t begin = f->count, alias;

	add_flags_of(f, p, p->name);
	if (!p->alias)
		return;
	alias = f->count;
	add_flags_of(f, p, p->alias);
	for (size_t i = alias; i < f->count; i++)
		f->flag[i].canonical = begin + (i - alias);
}

static void flags_init(struct flags *f)
{
	size_t n, at = 0;
	const struct param *table = param_table(&n);

	f->letters[at++] = '-';
	f->letters[at++] = ':';
	for (size_t i = 0; i < n; i++) {
		add_param(f, &table[i]);
		if (table[i].letter && at + 3 < sizeof(f->letters)) {
			f->letters[at++] = table[i].letter;
			if (takes_value(&table[i]))
				f->letters[at++] = ':';
		}
	}
	f->letters[at] = '\0';
	f->option = xcalloc(f->count + 1, sizeof(*f->option));
	for (size_t i = 0; i < f->count; i++) {
		const struct flag *flag = &f->flag[i];
		bool plain_secret = flag->form == FORM_PLAIN && flag->param->type == PARAM_SECRET;

		f->option[i] = (struct option){
			.name = flag->name,
			.has_arg = plain_secret ? optional_argument :
				   flag->form == FORM_SECRET || takes_value(flag->param) ? required_argument :
					   no_argument,
			.val = LONG + (int)flag->canonical,
		};
	}
}

/* --- what went wrong, in words --- */

struct flags_walk { const struct flags *f; size_t at; };

static const char *next_flag(void *ctx)
{
	struct flags_walk *walk = ctx;

	return walk->at < walk->f->count ? walk->f->flag[walk->at++].name : NULL;
}

static bool is_plain_secret(const struct flags *f, const char *name)
{
	for (size_t i = 0; i < f->count; i++)
		if (!strcmp(f->flag[i].name, name))
			return f->flag[i].form == FORM_PLAIN && f->flag[i].param->type == PARAM_SECRET;
	return false;
}

static int ambiguous(const struct flags *f, const char *name, size_t len, struct err *e)
{
	char shown[SHOWN], list[SHOWN] = "";
	size_t at = 0;

	for (size_t i = 0; i < f->count; i++) {
		if (strncmp(f->flag[i].name, name, len))
			continue;
		if (at > sizeof(list) - FLAG_ROOM - 8) {
			snprintf(list + at, sizeof(list) - at, ", ...");
			break;
		}
		at += (size_t)snprintf(list + at, sizeof(list) - at, "%s--%s", at ? ", " : "",
				       f->flag[i].name);
	}
	utf8_escape(shown, sizeof(shown), name, len);
	return err_set(e, ERR_USAGE, "--%s: ambiguous, could be %s", shown, list);
}

/*
 * A long option that getopt_long() did not take: unknown or an abbreviation of several. @word is all of it.
 */
static int bad_long(const struct flags *f, const char *word, struct err *e)
{
	struct flags_walk walk = { f, 0 };
	const char *name = word + (word[0] == '-') + (word[0] == '-' && word[1] == '-'), *near;
	size_t len = strcspn(name, "=");
	char shown[SHOWN];

	for (size_t i = 0; len && i < f->count; i++)
		if (!strncmp(f->flag[i].name, name, len))
			return ambiguous(f, name, len, e);
	utf8_escape(shown, sizeof(shown), name, len);
	near = nearest_word(name, len, next_flag, &walk);
	/* --password itself would be refused next. */
	if (near)
		return err_set(e, ERR_USAGE, "--%s: unknown flag, did you mean --%s%s?", shown, near,
			       is_plain_secret(f, near) ? "-file" : "");
	return err_set(e, ERR_USAGE, "--%s: unknown flag (mailchute --help lists them)", shown);
}

/* Letters of sendmail(8) that we do not have, or have for something else. */
static bool is_sendmail_letter(int c)
{
	return c && strchr("ABCDFGLMNOQRUVXdehimoprtx", c);
}

static int sendmail_option(const char *word, struct err *e)
{
	char shown[SHOWN];

	utf8_escape(shown, sizeof(shown), word, strlen(word));
	return err_set(e, ERR_USAGE, "%s: this is sendmail's option: with --as=sendmail as first argument all "
		       "of them are taken (mailchute --help lists those of mailchute)", shown);
}

static int bad_letter(int letter, const char *word, struct err *e)
{
	char c = (char)letter, shown[16];

	if (is_sendmail_letter(letter))
		return sendmail_option(word, e);
	utf8_escape(shown, sizeof(shown), &c, 1);
	return err_set(e, ERR_USAGE, "-%s: unknown flag (mailchute --help lists them)", shown);
}

/*
 * -bs, -bp, ...: modes of sendmail, which getopt reads as "blind copy to s". Glued to its letter, one
 * character of that list is never meant as a recipient; behind a space it is.
 */
static bool is_sendmail_mode(const char *word)
{
	return word && word[0] == '-' && word[1] == 'b' && word[2] && !word[3] &&
	       strchr("adehimpstvDHP", word[2]);
}

/*
 * -from, -cc, -subject: with one dash a letter and its glued value, which is never what was meant where the
 * whole is a flag's name. -help is help in both readings.
 */
static bool is_one_dash(const struct flags *f, const char *word)
{
	size_t len = word && word[0] == '-' && word[1] && word[1] != '-' ? strcspn(word + 1, "=") : 0;

	for (size_t i = 0; len > 1 && i < f->count; i++)
		if (!strncmp(f->flag[i].name, word + 1, len) && !f->flag[i].name[len])
			return strcmp(f->flag[i].name, "help");
	return false;
}

static int one_dash(const char *word, struct err *e)
{
	int len = (int)strcspn(word, "=");

	return err_set(e, ERR_USAGE, "%.*s: a flag of more than a letter has two dashes: -%.*s", len, word,
		       len, word);
}

/* --- values --- */

/* "--name" or "-x", as the user wrote the setting. */
struct spelling { char text[FLAG_ROOM + 3]; };

static struct spelling spell(const struct flag *flag, int letter)
{
	struct spelling s;

	if (flag)
		snprintf(s.text, sizeof(s.text), "--%s", flag->name);
	else
		snprintf(s.text, sizeof(s.text), "-%c", letter);
	return s;
}

/* Is the plain word of @p a file name? Those are octets; everything else is text. */
static bool is_path(const struct param *p)
{
	return (p->flags & PARAM_FILE) || p->type == PARAM_ATTACHMENTS || p->type == PARAM_ACTION;
}

static int check_text(const char *place, const char *word, struct err *e)
{
	size_t len = strlen(word), good = utf8_valid(word, len);

	if (good < len)
		return err_set(e, ERR_DATA, "%s: not valid UTF-8 at octet %zu", place, good + 1);
	return 0;
}

int input_word(struct mail_params *p, const struct param *which, const char *place, const char *word,
	       enum origin o,
	       struct err *e)
{
	CLEANUP(value_freep) struct value *v = NULL;

	if (input_word_is_json(which, word)) {
		if (json_read(&v, place, word, strlen(word), e) < 0)
			return -1;
		return mail_params_set(p, which, v, o, place, e);
	}
	if (!is_path(which) && check_text(place, word, e) < 0)
		return -1;
	v = value_text(word);
	return mail_params_set(p, which, v, o, NULL, e);
}

/*
 * '{' begins JSON wherever a setting can be an object or a list. '[' also begins an address literal
 * ("[::1]:25"), a file name ("[draft].pdf") or a text ("[urgent] ..."): there the character behind it
 * decides.
 */
bool input_word_is_json(const struct param *which, const char *word)
{
	switch (which->type) {
	case PARAM_STRS: case PARAM_RCPTS: case PARAM_FIELDS: case PARAM_CONTENT: case PARAM_ATTACHMENTS:
	case PARAM_ALIASES:
		break;
	default:
		if (!(which->flags & PARAM_JOINED))
			return false;
	}
	/* "{{name}}" is a place to fill in, which no JSON begins with */
	if (word[0] == '{' && word[1] != '{')
		return true;
	if (*word != '[')
		return false;
	word += 1 + strspn(word + 1, " \t\r\n");
	return *word && strchr("\"[{]", *word);
}

int input_secret_form(struct mail_params *p, const struct param *which, const char *form, const char *word,
		      enum origin o, struct err *e)
{
	CLEANUP(value_freep) struct value *object = value_new(VALUE_OBJECT);
	struct value *v = value_text(word);

	v->key = xstrdup(form);
	value_append(object, v);
	return mail_params_set(p, which, object, o, NULL, e);
}

static int set_bool(struct mail_params *p, const struct param *which, bool on, struct err *e)
{
	CLEANUP(value_freep) struct value *v = value_new(VALUE_BOOL);

	v->boolean = on;
	return mail_params_set(p, which, v, ORIGIN_ARGV, NULL, e);
}

static int refuse_plain_secret(const struct flag *flag, struct err *e)
{
	return err_set(e, ERR_USAGE, "--%s: other users of this machine can read the command line; use "
		       "--%s-file, --%s-command, --%s-env or --%s-fd",
		       flag->name, flag->name, flag->name, flag->name, flag->name);
}

/* "http://user:password@proxy": a ':' before the '@', behind the scheme. A user's name alone is no secret. */
static bool url_has_password(const char *url)
{
	const char *scheme = strstr(url, "://"), *at = strrchr(url, '@');

	if (scheme)
		url = scheme + 3;
	return at && at > url && memchr(url, ':', (size_t)(at - url));
}

static int refuse_url_password(const struct flag *flag, struct err *e)
{
	return err_set(e, ERR_USAGE, "--%s: other users of this machine can read the command line, and the "
		       "URL has a password; give it in the environment or in a params file", flag->name);
}

/* The rows that say how to run. True in *ret_done: nothing behind it counts. */
static int take_action(struct invocation *inv, const struct param *p, const char *word, bool *ret_done,
		       struct err *e)
{
	static const struct { const char *name; enum mode mode; } modes[] = {
		{"help", MODE_HELP}, {"version", MODE_VERSION}, {"print_params", MODE_PRINT_PARAMS},
		{"print_schema", MODE_PRINT_SCHEMA}, {"check", MODE_CHECK},
	};

	const struct { const char *name, **file; } files[] = {
		{"params", &inv->params_file}, {"config", &inv->config_file}, {"batch", &inv->batch_file},
		{"data", &inv->data_file},
	};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		if (strcmp(p->name, files[i].name))
			continue;
		if (*files[i].file)
			return err_set(e, ERR_USAGE, "--%s: given twice; one file is read", p->name);
		*files[i].file = word;
		return 0;
	}
	if (!strcmp(p->name, "as"))
		return err_set(e, ERR_USAGE, "--as: must be the first argument");
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		if (strcmp(p->name, modes[i].name))
			continue;
		inv->mode = modes[i].mode;
		*ret_done = inv->mode == MODE_HELP || inv->mode == MODE_VERSION;
		return 0;
	}
	return err_set(e, ERR_SOFTWARE, "--%s: nothing is done for this flag", p->name);
}

static int take_flag(struct mail_params *p, struct invocation *inv, const struct param *which,
		     const struct flag *flag,
		     int letter, bool *ret_done, struct err *e)
{
	struct spelling place = spell(flag, letter);

	if (which->type == PARAM_ACTION)
		return take_action(inv, which, optarg, ret_done, e);
	if (flag && flag->form == FORM_SECRET)
		return input_secret_form(p, which, flag->secret, optarg, ORIGIN_ARGV, e);
	if (which->type == PARAM_SECRET)
		return refuse_plain_secret(flag, e);
	if (flag && (which->flags & PARAM_MASKED) && url_has_password(optarg))
		return refuse_url_password(flag, e);
	if (which->type == PARAM_BOOL)
		return set_bool(p, which, !flag || flag->form != FORM_NO, e);
	return input_word(p, which, place.text, optarg, ORIGIN_ARGV, e);
}

/* ':' and '?' of getopt_long(): the word is the one just behind the cursor. */
static int take_failure(const struct flags *f, int found, const char *word, struct err *e)
{
	if (found == ':' && optopt >= LONG)
		return err_set(e, ERR_USAGE, "--%s: a value is missing", f->flag[optopt - LONG].name);
	if (found == ':')
		return err_set(e, ERR_USAGE, "-%c: a value is missing", optopt);
	if (optopt >= LONG)
		return err_set(e, ERR_USAGE, "--%s: takes no value", f->flag[optopt - LONG].name);
	if (optopt)
		return bad_letter(optopt, word, e);
	return bad_long(f, word, e);
}

static int take_recipient(struct mail_params *p, const char *word, struct err *e)
{
	bool ready = mail_params_given(p, "message_file") || p->read_recipients;
	const struct param *which = param_row(ready ? "rcpt" : "to");
	CLEANUP(value_freep) struct value *v = value_text(word);
	char shown[SHOWN];

	/* a local part by the grammar, standard input by everybody's habit */
	if (!strcmp(word, "-"))
		return err_set(e, ERR_USAGE, "-: not a recipient; standard input is --body-file -, "
			       "--message-file - or --params -");
	utf8_escape(shown, sizeof(shown), word, strlen(word));
	if (check_text(shown, word, e) < 0)
		return -1;
	return mail_params_set(p, which, v, ORIGIN_ARGV, NULL, e);
}

/*
 * What is known at the end only: words that are not flags are `to` or `rcpt`, and -f is `from` or, with -t, the
 * envelope's sender.
 */
struct kept { const char **word; size_t n_words; const char *f; bool overruled; /* by a --from behind it */ };

/* One step of getopt_long(). 1: the flags are at their end. */
static int step(const struct flags *f, struct mail_params *p, struct invocation *inv, int argc, char *argv[],
		struct kept *kept, struct err *e)
{
	/* A cluster of letters keeps the cursor on its word; getopt gives no other hold on it. */
	int before = optind ? optind : 1, found, index = 0;
	bool done = false;

	if (is_sendmail_mode(before < argc ? argv[before] : NULL))
		return sendmail_option(argv[before], e);
	if (is_one_dash(f, before < argc ? argv[before] : NULL))
		return one_dash(argv[before], e);
	found = getopt_long(argc, argv, f->letters, f->option, &index);
	if (found == -1)
		return 1;
	if (found == WORD) {
		kept->word[kept->n_words++] = optarg;
		return 0;
	}
	if (found == 'f') {
		kept->f = optarg;
		kept->overruled = false;
		return 0;
	}
	if (found == ':' || found == '?')
		return take_failure(f, found, argv[before < argc ? before : argc - 1], e);
	if (found >= LONG) {
		const struct flag *flag = &f->flag[index];

		kept->overruled |= flag->param == param_row("from");
		return take_flag(p, inv, flag->param, flag, 0, &done, e) < 0 ? -1 : done;
	}
	return take_flag(p, inv, param_by_letter((char)found), NULL, found, &done, e) < 0 ? -1 : done;
}

static int usage(struct err *e)
{
	return err_set(e, ERR_USAGE, "nothing to do; usage: mailchute [flags] recipient... < text, or "
		       "mailchute --help");
}

static int take_kept(struct mail_params *p, const struct kept *kept, struct err *e)
{
	const char *sender = p->read_recipients ? "envelope_from" : "from";

	if (kept->f && !(kept->overruled && !p->read_recipients) &&
	    input_word(p, param_row(sender), "-f", kept->f, ORIGIN_ARGV, e) < 0)
		return -1;
	for (size_t i = 0; i < kept->n_words; i++)
		if (take_recipient(p, kept->word[i], e) < 0)
			return -1;
	return 0;
}

int input_argv(struct mail_params *p, struct invocation *ret, int argc, char *argv[], struct err *e)
{
	CLEANUP(flags_clear) struct flags f = {0};
	CLEANUP(freep) const char **words = NULL;
	struct invocation inv = { .mode = MODE_SEND };
	struct kept kept = {0};
	int r;

	if (argc < 1 || !argv[0] || (argc == 1 && isatty(STDIN_FILENO)))
		return usage(e);
	words = xcalloc((size_t)argc, sizeof(*words));
	kept.word = words;
	flags_init(&f);
	opterr = 0;
	optind = 0;     /* GNU: start afresh */
	do
		r = step(&f, p, &inv, argc, argv, &kept, e);
	while (r == 0);
	if (r < 0)
		return -1;
	if (inv.mode == MODE_HELP || inv.mode == MODE_VERSION) {
		*ret = inv;
		return 0;
	}
	for (int i = optind; i < argc; i++)
		kept.word[kept.n_words++] = argv[i];
	if (inv.batch_file && inv.data_file)
		return err_set(e, ERR_USAGE, "--batch and --data: one of them says what the messages are");
	/* Its abbreviation --file would take the place of --attach in silence. */
	if (!inv.params_file && !inv.batch_file && !inv.data_file && param_origin(p, "files_dir") == ORIGIN_ARGV)
		return err_set(e, ERR_USAGE, "--files-dir: there is no params file (--params) whose files it "
			       "could confine; --attach sends a file");
	if (take_kept(p, &kept, e) < 0)
		return -1;
	*ret = inv;
	return 0;
}
