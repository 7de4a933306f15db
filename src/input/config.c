/*
 * The configuration file; see config.h.
 *
 * It is read into one tree of values and checked whole. What an account says is
 * worked out as one value for each setting, layer over layer, and only then
 * stored: so a list of an account replaces that of the whole, though both have
 * one origin.
 */

#include "input/config.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/utf8.h"
#include "base/xalloc.h"
#include "input/input.h"
#include "model/mail_params.h"
#include "model/param_table.h"
#include "model/value.h"
#include "text/addr.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { CONFIG_MAX = 8 << 20, SHOWN = 512, INHERIT_MOST = 32 };

struct account {
	const char *name;
	const struct value *settings;
	struct account *inherits;       /* NULL: the whole alone */
	char *from;                     /* the address of its `from`, or NULL */
};

struct config {
	char *path, *name;              /* name: for messages, escaped */
	struct value *root;             /* NULL: there is no file */
	struct account *account;
	size_t n_accounts;
	struct account *fallback;       /* "account" */
};

static int config_fail(const struct config *c, const struct value *at, struct err *e, const char *what,
		       const char *name)
{
	char path[SHOWN], shown[SHOWN];

	value_path(at, path, sizeof(path));
	utf8_escape(shown, sizeof(shown), path, strlen(path));
	return err_set(e, ERR_CONFIG, "%s:%u:%u: %s: %s%s", c->name, at->line, at->column, shown, what, name);
}

/* ---- the file ---- */

/*
 * May we look into the directory? A service with another user's HOME may not, and has no configuration there;
 * a file that is there and not for us is an error.
 */
static bool reachable(const char *path)
{
	CLEANUP(freep) char *directory = xstrdup(path);

	*strrchr(directory, '/') = '\0';
	return access(directory, X_OK) == 0;
}

/* Opened once; what is said of it after that is said of the descriptor. 1: *ret_fd; 0: there is none; -1. */
static int open_file(int *ret_fd, struct stat *ret_st, const char *path, bool asked, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	char shown[SHOWN];

	utf8_escape(shown, sizeof(shown), path, strlen(path));
	if (fd < 0 && !asked && (errno == ENOENT || errno == ENOTDIR || (errno == EACCES && !reachable(path))))
		return 0;
	if (fd < 0)
		return err_sys(e, errno == EMFILE || errno == ENFILE ? ERR_OS : ERR_CONFIG, errno,
			       "cannot open the configuration '%s'", shown);
	if (fstat(fd, ret_st) < 0) {
		close(fd);
		return err_sys(e, ERR_CONFIG, errno, "the configuration '%s'", shown);
	}
	*ret_fd = fd;
	return 1;
}

static int check_file(int fd, const struct stat *st, const char *shown, struct err *e)
{
	struct statvfs fs;

	if (!S_ISREG(st->st_mode))
		return err_set(e, ERR_CONFIG, "the configuration '%s' is not a regular file", shown);
	if (st->st_size > CONFIG_MAX)
		return err_set(e, ERR_CONFIG, "the configuration '%s' is larger than %d MiB", shown,
			       CONFIG_MAX >> 20);
	/* Who owns it decides where our mail goes. On a read-only mount it is whoever mounted it. */
	if (st->st_uid && st->st_uid != geteuid() && !(fstatvfs(fd, &fs) == 0 && (fs.f_flag & ST_RDONLY)))
		return err_set(e, ERR_CONFIG,
			       "the configuration '%s' belongs to another user (%ld); run: chown %ld %s",
			       shown, (long)st->st_uid, (long)geteuid(), shown);
	return 0;
}

static int read_file(struct buf *out, int fd, off_t size, const char *shown, struct err *e)
{
	/* all the room at once: growing would leave copies of secrets behind */
	if (buf_reserve(out, (size_t)size + 2 * 16384) < 0)
		return err_set(e, ERR_CONFIG, "the configuration '%s' is larger than %d MiB", shown,
			       CONFIG_MAX >> 20);
	for (;;) {
		ssize_t n;

		if (buf_reserve(out, 16384) < 0)
			return err_set(e, ERR_CONFIG, "the configuration '%s' is larger than %d MiB", shown,
				       CONFIG_MAX >> 20);
		n = read(fd, out->data + out->len, 16384);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, ERR_CONFIG, errno, "cannot read the configuration '%s'", shown);
		if (n == 0)
			return 0;
		out->len += (size_t)n;
	}
}

/* ---- comments ---- */

/* The end of a comment that begins at @at, or 0: it has none. */
static size_t comment_end(const struct buf *b, size_t at)
{
	const char *s = b->data + at, *end = b->data + b->len;

	if (s[1] == '/') {
		while (s < end && *s != '\n' && *s != '\r')
			s++;
		return (size_t)(s - b->data);
	}
	for (s += 2; s + 1 < end; s++)
		if (s[0] == '*' && s[1] == '/')
			return (size_t)(s + 2 - b->data);
	return 0;
}

static int unclosed(const struct config *c, const struct buf *b, size_t at, struct err *e)
{
	unsigned line = 1, column = 1;

	for (size_t i = 0; i < at; i++) {
		column++;
		if (b->data[i] != '\n')
			continue;
		line++;
		column = 1;
	}
	return err_set(e, ERR_CONFIG, "%s:%u:%u: the comment that begins here is not closed", c->name, line,
		       column);
}

/* Comments become blanks, so that every place stays where it was. */
static int blank_comments(const struct config *c, struct buf *b, struct err *e)
{
	bool string = false;

	for (size_t i = 0; i < b->len; i++) {
		size_t end;

		if (b->data[i] == '"')
			string = !string;
		else if (string && b->data[i] == '\\')
			i++;
		if (string || b->data[i] != '/' || i + 1 >= b->len || !strchr("/*", b->data[i + 1]) ||
		    !b->data[i + 1])
			continue;
		end = comment_end(b, i);
		if (!end)
			return unclosed(c, b, i, e);
		for (; i < end; i++)
			if (b->data[i] != '\n' && b->data[i] != '\r')
				b->data[i] = ' ';
		i--;
	}
	return 0;
}

/* ---- what is in it ---- */

static const char *const words_of_account[] = { "inherits", "match" };
static const char *const words_of_whole[] = { "accounts" };

static bool is_word(const char *key, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(key, words[i]))
			return true;
	return false;
}

static int unknown_key(const struct config *c, const struct value *v, struct err *e)
{
	const char *near = param_nearest(v->key, strlen(v->key));

	if (!near)
		return config_fail(c, v, e, "unknown key", "");
	config_fail(c, v, e, "unknown key, did you mean '", near);
	return err_set(e, ERR_CONFIG, "%s'?", e->text);
}

/* A daemon runs anywhere: a path of its configuration means the same everywhere. */
static int absolute_path(const struct config *c, struct value *v, struct err *e)
{
	const char *home = getenv("HOME");
	char *path;

	if (v->type != VALUE_STR || !*v->str || *v->str == '/' || !strcmp(v->str, "-"))
		return 0;
	if (strncmp(v->str, "~/", 2))
		return config_fail(c, v, e, "a path in the configuration begins with '/' or '~/'", "");
	if (!home || *home != '/')
		return config_fail(c, v, e, "HOME is not set, and '~' stands for it", "");
	path = xasprintf("%s%s", home, v->str + 1);
	free(v->str);
	v->str = path;
	v->len = strlen(path);
	return 0;
}

static struct value *member(struct value *object, const char *key)
{
	for (struct value *v = object->first; v; v = v->next)
		if (!strcmp(v->key, key))
			return v;
	return NULL;
}

static int check_path(const struct config *c, const struct param *which, struct value *v, struct err *e)
{
	if (which->type == PARAM_SECRET && v->type == VALUE_OBJECT && member(v, "file"))
		return absolute_path(c, member(v, "file"), e);
	if (!(which->flags & PARAM_FILE) || (!strcmp(which->name, "log") && v->type == VALUE_STR &&
					     !strcmp(v->str, "syslog")))
		return 0;
	return absolute_path(c, v, e);
}

static const struct param *param_of(const struct value *v)
{
	return param_by_name(v->key, strlen(v->key));
}

/* The settings of one layer: each is one, once, and its value can be read. */
static int check_layer(const struct config *c, struct value *layer, const char *const *words, size_t n_words,
		       struct err *e)
{
	CLEANUP(mail_params_clear) struct mail_params scratch = {0};

	mail_params_init(&scratch);
	for (struct value *v = layer->first; v; v = v->next) {
		const struct param *which = param_of(v);

		if (is_word(v->key, words, n_words))
			continue;
		if (!which)
			return unknown_key(c, v, e);
		if (which->type == PARAM_ACTION || !strcmp(which->name, "output") ||
		    !strcmp(which->name, "journal") || !strcmp(which->name, "resume"))
			return config_fail(c, v, e, "cannot be set in the configuration", "");
		if (scratch.origin[param_id(which)] != ORIGIN_DEFAULT)
			return config_fail(c, v, e, "this setting is there already, under its other name", "");
		if (check_path(c, which, v, e) < 0 ||
		    mail_params_set(&scratch, which, v, ORIGIN_CONFIG, c->name, e) < 0)
			return -1;
	}
	return 0;
}

static struct account *account_named(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->n_accounts; i++)
		if (!strcmp(c->account[i].name, name))
			return &c->account[i];
	return NULL;
}

struct names_walk { const struct config *c; size_t at; };

static const char *next_name(void *ctx)
{
	struct names_walk *walk = ctx;

	return walk->at < walk->c->n_accounts ? walk->c->account[walk->at++].name : NULL;
}

static int no_account(const struct config *c, const char *place, const char *name, struct err *e)
{
	struct names_walk walk = { c, 0 };
	const char *near = nearest_word(name, strlen(name), next_name, &walk);
	char shown[128], shown_near[128] = "";

	utf8_escape(shown, sizeof(shown), name, strlen(name));
	if (near)
		utf8_escape(shown_near, sizeof(shown_near), near, strlen(near));
	if (!c->root)
		return err_set(e, ERR_CONFIG, "%sno account '%s': there is no configuration (config.json in "
			       "~/.config/mailchute or /etc/mailchute)", place, shown);
	return err_set(e, ERR_CONFIG, "%sno account '%s' in %s%s%s%s", place, shown, c->name,
		       near ? ", did you mean '" : "", shown_near, near ? "'?" : "");
}

/* The account that the string @v names. */
static int find_account(const struct config *c, const struct value *v, struct account **ret, struct err *e)
{
	char place[SHOWN];

	if (v->type != VALUE_STR)
		return config_fail(c, v, e, "must be the name of an account", "");
	*ret = account_named(c, v->str);
	if (*ret)
		return 0;
	snprintf(place, sizeof(place), "%s:%u:%u: %s: ", c->name, v->line, v->column, v->key);
	return no_account(c, place, v->str, e);
}

static int check_match(const struct config *c, const struct value *v, struct err *e)
{
	if (!v || v->type == VALUE_STR)
		return 0;
	if (v->type != VALUE_LIST)
		return config_fail(c, v, e, "must be a pattern of addresses or a list of them", "");
	for (const struct value *item = v->first; item; item = item->next)
		if (item->type != VALUE_STR)
			return config_fail(c, item, e, "must be a pattern of addresses", "");
	return 0;
}

static int check_inheritance(const struct config *c, const struct account *a, struct err *e)
{
	size_t depth = 0;

	for (const struct account *at = a; at; at = at->inherits)
		if (++depth > INHERIT_MOST)
			return config_fail(c, value_get(a->settings, "inherits"), e,
					   "goes in a circle, or is too deep", "");
	return 0;
}

static char *address_of(const struct value *from)
{
	CLEANUP(err_clear) struct err ignored = ERR_INIT;
	struct mailbox m = {0};
	char *address = NULL;

	if (!from || from->type != VALUE_STR ||
	    mailbox_parse(&m, from->str, from->len, ADDR_BARE_LOCAL, &ignored) < 0)
		return NULL;
	if (m.domain)
		address = xasprintf("%s@%s", m.local, m.domain);
	mailbox_clear(&m);
	return address;
}

static int take_account(struct config *c, struct value *v, struct err *e)
{
	struct account *a = &c->account[c->n_accounts];

	if (v->type != VALUE_OBJECT)
		return config_fail(c, v, e, "must be an object of settings", "");
	if (!*v->key)
		return config_fail(c, v, e, "an account has a name", "");
	if (value_get(v, "account") || value_get(v, "accounts"))
		return config_fail(c, v, e, "an account names no other account but in 'inherits'", "");
	if (check_layer(c, v, words_of_account, ARRAY_SIZE(words_of_account), e) < 0 ||
	    check_match(c, value_get(v, "match"), e) < 0)
		return -1;
	*a = (struct account){ .name = v->key, .settings = v, .from = address_of(value_get(v, "from")) };
	c->n_accounts++;
	return 0;
}

static int take_accounts(struct config *c, struct value *accounts, struct err *e)
{
	size_t n = 0;

	if (accounts && accounts->type != VALUE_OBJECT)
		return config_fail(c, accounts, e, "must be an object of accounts by their names", "");
	for (struct value *v = accounts ? accounts->first : NULL; v; v = v->next)
		n++;
	c->account = xcalloc(n ? n : 1, sizeof(*c->account));
	for (struct value *v = accounts ? accounts->first : NULL; v; v = v->next)
		if (take_account(c, v, e) < 0)
			return -1;
	for (size_t i = 0; i < n; i++) {
		const struct value *inherits = value_get(c->account[i].settings, "inherits");

		if (inherits && find_account(c, inherits, &c->account[i].inherits, e) < 0)
			return -1;
	}
	for (size_t i = 0; i < n; i++)
		if (check_inheritance(c, &c->account[i], e) < 0)
			return -1;
	return 0;
}

static int take_root(struct config *c, struct err *e)
{
	const struct value *account = value_get(c->root, "account");

	if (check_layer(c, c->root, words_of_whole, ARRAY_SIZE(words_of_whole), e) < 0 ||
	    take_accounts(c, member(c->root, "accounts"), e) < 0)
		return -1;
	return account ? find_account(c, account, &c->fallback, e) : 0;
}

/* The key of a secret that stands in the text itself, or NULL. A proxy's URL may hold one before its '@'. */
static const char *literal_secret(const struct value *object)
{
	for (const struct value *v = object->first; v; v = v->next) {
		const struct param *which = param_of(v);

		if (which && v->type == VALUE_STR && *v->str &&
		    (which->type == PARAM_SECRET || ((which->flags & PARAM_MASKED) && strchr(v->str, '@'))))
			return v->key;
	}
	return NULL;
}

/* A file with a secret that everybody can read. */
static int check_secrets(const struct config *c, int fd, const struct stat *st, struct err *e)
{
	const char *key = literal_secret(c->root);
	struct statvfs fs;
	char shown[SHOWN];

	for (size_t i = 0; !key && i < c->n_accounts; i++)
		key = literal_secret(c->account[i].settings);
	if (!key || !(st->st_mode & S_IROTH) || (fstatvfs(fd, &fs) == 0 && (fs.f_flag & ST_RDONLY)))
		return 0;
	utf8_escape(shown, sizeof(shown), c->path, strlen(c->path));
	return err_set(e, ERR_CONFIG,
		       "%s: others can read this file and it holds a literal '%s'; run: chmod 600 %s",
		       c->name, key, shown);
}

static int take_file(struct config *c, int fd, const struct stat *st, struct err *e)
{
	CLEANUP(buf_wipe) struct buf text = BUF_INIT(CONFIG_MAX + 4 * 16384);

	if (check_file(fd, st, c->name, e) < 0 || read_file(&text, fd, st->st_size, c->name, e) < 0 ||
	    blank_comments(c, &text, e) < 0)
		return -1;
	if (json_read(&c->root, c->name, text.data ? text.data : "", text.len, e) < 0) {
		e->class = ERR_CONFIG;
		return -1;
	}
	if (c->root->type != VALUE_OBJECT)
		return err_set(e, ERR_CONFIG, "%s:%u:%u: must be one object, {\"setting\": value, ...}",
			       c->name, c->root->line, c->root->column);
	if (take_root(c, e) < 0)
		return -1;
	return check_secrets(c, fd, st, e);
}

/* ---- where it is ---- */

static char *user_file(void)
{
	const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");

	if (xdg && *xdg == '/')
		return xasprintf("%s/mailchute/config.json", xdg);
	/* without HOME it is a service of the system, whose configuration is the system's */
	return home && *home == '/' ? xasprintf("%s/.config/mailchute/config.json", home) : NULL;
}

/* 1: read; 0: there is no such file; -1. */
static int try_file(struct config *c, const char *path, bool asked, struct err *e)
{
	char shown[SHOWN];
	struct stat st;
	int fd = -1, r;

	r = open_file(&fd, &st, path, asked, e);
	if (r <= 0)
		return r;
	c->path = xstrdup(path);
	utf8_escape(shown, sizeof(shown), path, strlen(path));
	c->name = xstrdup(shown);
	/* the usual way to say "none" */
	r = S_ISCHR(st.st_mode) && !strcmp(path, "/dev/null") ? 0 : take_file(c, fd, &st, e);
	close(fd);
	return r < 0 ? -1 : 1;
}

int config_read(struct config **ret, const char *path, struct err *e)
{
	CLEANUP(config_freep) struct config *c = xcalloc(1, sizeof(*c));
	int r = 0;

	if (path && *path) {
		r = try_file(c, path, true, e);
	} else if (!path) {
		CLEANUP(freep) char *users = user_file();

		if (users)
			r = try_file(c, users, false, e);
		if (r == 0)
			r = try_file(c, MAILCHUTE_SYSCONFDIR "/mailchute/config.json", false, e);
	}
	if (r < 0)
		return -1;
	*ret = c;
	c = NULL;
	return 0;
}

const char *config_path(const struct config *c)
{
	return c->path;
}

void config_free(struct config *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n_accounts; i++)
		free(c->account[i].from);
	free(c->account);
	value_free(c->root);
	free(c->path);
	free(c->name);
	free(c);
}

/* ---- what it says ---- */

/* The value of each setting, by its id: of the last layer that has one. */
struct layers { const struct value *value[PARAM_MAX]; };

static const struct value *where_of(const struct layers *l)
{
	const struct value *socket = l->value[param_id(param_row("unix_socket"))];

	return socket ? socket : l->value[param_id(param_row("server"))];
}

static bool names_host(const struct value *where, const char *host)
{
	const struct value *one = where->type == VALUE_LIST ? where->first : where;

	for (; one; one = where->type == VALUE_LIST ? one->next : NULL) {
		CLEANUP(freep) char *other = one->type == VALUE_STR ? server_host_of(one->str) : NULL;

		if (other && !strcasecmp(host, other))
			return true;
	}
	return false;
}

/* Every host of @now is one of @before. */
static bool same_place(const struct value *before, const struct value *now)
{
	const struct value *one = now->type == VALUE_LIST ? now->first : now;

	for (; before && one; one = now->type == VALUE_LIST ? one->next : NULL) {
		CLEANUP(freep) char *host = one->type == VALUE_STR ? server_host_of(one->str) : NULL;

		if (!host || !names_host(before, host))
			return false;
	}
	return before;
}

/* What is bound to the servers of the layers below stays with them. */
static void leave_behind(struct layers *l)
{
	size_t n;
	const struct param *table = param_table(&n);

	for (size_t i = 0; i < n; i++)
		if (l->value[i] && setting_is_bound(&table[i], l->value[i]))
			l->value[i] = NULL;
}

static void lay(struct layers *l, const struct value *layer)
{
	const struct value *before = where_of(l), *here = NULL;

	for (const struct value *v = layer->first; v; v = v->next) {
		const struct param *which = param_of(v);

		if (which && (!strcmp(which->name, "server") || !strcmp(which->name, "unix_socket")))
			here = v;
	}
	if (here && !same_place(before, here))
		leave_behind(l);
	if (here) {             /* two ways of saying where: the upper layer's */
		l->value[param_id(param_row("server"))] = NULL;
		l->value[param_id(param_row("unix_socket"))] = NULL;
	}
	for (const struct value *v = layer->first; v; v = v->next)
		if (param_of(v))
			l->value[param_id(param_of(v))] = v;
}

static void add_bound(struct mail_params *p, const struct value *where)
{
	const struct value *one = where && where->type == VALUE_LIST ? where->first : where;

	for (; one; one = where->type == VALUE_LIST ? one->next : NULL)
		if (one->type == VALUE_STR)
			mail_params_bind(p, one->str);
}

static int apply(const struct config *c, struct mail_params *p, const struct account *a, struct err *e)
{
	const struct account *chain[INHERIT_MOST + 1];
	size_t n = 0, n_params;
	const struct param *table = param_table(&n_params);
	struct layers l;

	if (!c->root)
		return 0;
	l = (struct layers){0};
	for (; a; a = a->inherits)
		chain[n++] = a;
	lay(&l, c->root);
	while (n)
		lay(&l, chain[--n]->settings);
	for (size_t i = 0; i < n_params; i++)
		if (l.value[i] && strcmp(table[i].name, "account") &&
		    mail_params_set(p, &table[i], l.value[i], ORIGIN_CONFIG, c->name, e) < 0)
			return -1;
	mail_params_bind(p, NULL);
	add_bound(p, where_of(&l));
	return 0;
}

/* ---- which account ---- */

/* '*' any number of characters, '?' one; in any case of letters. */
static bool matches(const char *pattern, const char *s)
{
	const char *star = NULL, *from = NULL;

	while (*s) {
		if (*pattern == '*') {
			star = pattern++;
			from = s;
		} else if (*pattern == '?' || !strncasecmp(pattern, s, 1)) {
			pattern++;
			s++;
		} else if (star) {
			pattern = star + 1;
			s = ++from;
		} else {
			return false;
		}
	}
	return !pattern[strspn(pattern, "*")];
}

/* The length of the longest pattern of @a that @from fits, and one; 0: none does. */
static size_t fit(const struct account *a, const char *from)
{
	const struct value *match = value_get(a->settings, "match");
	const struct value *one = match && match->type == VALUE_LIST ? match->first : match;
	size_t best = 0;

	if (a->from && !strcasecmp(a->from, from))
		best = strlen(from) + 1;
	for (; one; one = match->type == VALUE_LIST ? one->next : NULL)
		if (one->len + 1 > best && matches(one->str, from))
			best = one->len + 1;
	return best;
}

static const struct account *account_of(const struct config *c, const char *from)
{
	const struct account *found = NULL;
	size_t best = 0;

	for (size_t i = 0; from && i < c->n_accounts; i++) {
		size_t n = fit(&c->account[i], from);

		if (n > best) {
			best = n;
			found = &c->account[i];
		}
	}
	return found ? found : c->fallback;
}

static bool is_asked(const struct mail_params *p)
{
	return p->account && param_origin(p, "account") > ORIGIN_CONFIG;
}

/* 0 and *ret (NULL: the whole alone, which '' asks for too), or -1. */
static int asked_account(const struct config *c, const struct mail_params *p, const struct account **ret,
			 struct err *e)
{
	*ret = *p->account ? account_named(c, p->account) : NULL;
	return *ret || !*p->account ? 0 : no_account(c, "", p->account, e);
}

int config_defaults(const struct config *c, struct mail_params *p, struct err *e)
{
	const struct account *a = NULL;

	if (is_asked(p) && asked_account(c, p, &a, e) < 0)
		return -1;
	return apply(c, p, a, e);
}

bool config_has_accounts(const struct config *c)
{
	return c->n_accounts;
}

int config_account(const struct config *c, struct mail_params *p, const char *from, struct err *e)
{
	const struct account *a = NULL;
	CLEANUP(value_freep) struct value *name = NULL;

	if (is_asked(p) ? asked_account(c, p, &a, e) < 0 : false)
		return -1;
	if (!is_asked(p))
		a = account_of(c, from);
	mail_params_drop(p, ORIGIN_CONFIG);
	if (apply(c, p, a, e) < 0)
		return -1;
	if (!a || is_asked(p))
		return 0;
	name = value_text(a->name);
	return mail_params_set(p, param_row("account"), name, ORIGIN_CONFIG, NULL, e);
}
