/*
 * ~/.netrc: "machine H login U password P" in words, over any number of lines.
 *
 * A word is of white-space-free octets, or in double quotes. '#' begins a
 * comment where a key could begin; a password may begin with it. "macdef" names a macro that ends at an
 * empty line. "default" would give one host's password to any other, so its
 * words are read and forgotten.
 */

#include "input/secret_sources.h"

#include "base/buf.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { WORD_MAX = 4096 };

struct words {
	const char *text;
	size_t len, at;
	char word[WORD_MAX + 1];
};

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void skip_line(struct words *w)
{
	while (w->at < w->len && w->text[w->at] != '\n')
		w->at++;
}

static void skip_space(struct words *w, bool comments)
{
	while (w->at < w->len && (is_space(w->text[w->at]) || (comments && w->text[w->at] == '#')))
		if (w->text[w->at] == '#')
			skip_line(w);
		else
			w->at++;
}

/* The next word, cut at WORD_MAX (no name or password of ours is that long). False at the end. */
static bool next_word(struct words *w, bool is_key)
{
	bool quoted;
	size_t n = 0;

	skip_space(w, is_key);
	if (w->at >= w->len)
		return false;
	quoted = w->text[w->at] == '"';
	w->at += quoted;
	for (; w->at < w->len; w->at++) {
		char c = w->text[w->at];

		if (quoted ? c == '"' : is_space(c))
			break;
		if (quoted && c == '\\' && w->at + 1 < w->len)
			c = w->text[++w->at];
		if (n < WORD_MAX)
			w->word[n++] = c;
	}
	w->at += quoted && w->at < w->len;
	w->word[n] = '\0';
	return true;
}

/* Behind "macdef NAME": up to an empty line. */
static void skip_macro(struct words *w)
{
	skip_line(w);
	while (w->at + 1 < w->len && w->text[w->at + 1] != '\n') {
		w->at++;
		skip_line(w);
	}
}

/* The entry being read: does it concern us, and what of it was seen. */
struct entry { bool host, other_login, password; };

static void set_password(struct buf *out, const char *word, struct entry *entry)
{
	buf_reset(out);
	entry->password = buf_adds(out, word) == 0;
}

static bool found(const struct entry *entry)
{
	return entry->host && entry->password && !entry->other_login;
}

int netrc_find(struct buf *out, const char *text, size_t len, const char *host, const char *user)
{
	struct words w = { .text = text, .len = len };
	struct entry entry = {0};

	while (!found(&entry) || w.at < w.len) {
		char key[16];

		if (!next_word(&w, true))
			break;
		/* A known entry is complete where the next one begins. */
		if (found(&entry) && (!strcmp(w.word, "machine") || !strcmp(w.word, "default")))
			break;
		snprintf(key, sizeof(key), "%.*s", (int)sizeof(key) - 1, w.word);
		if (!strcmp(key, "default")) {
			entry = (struct entry){0};
			continue;
		}
		if (strcmp(key, "machine") && strcmp(key, "login") && strcmp(key, "password") &&
		    strcmp(key, "account") && strcmp(key, "macdef"))
			continue;
		if (!next_word(&w, false))
			break;
		if (!strcmp(key, "machine"))
			entry = (struct entry){ .host = !strcasecmp(w.word, host) };
		else if (!strcmp(key, "login"))
			entry.other_login = strcmp(w.word, user) != 0;
		else if (!strcmp(key, "password") && entry.host)
			set_password(out, w.word, &entry);
		else if (!strcmp(key, "macdef"))
			skip_macro(&w);
	}
	explicit_bzero(w.word, sizeof(w.word));
	if (found(&entry))
		return 1;
	buf_reset(out);
	return 0;
}
