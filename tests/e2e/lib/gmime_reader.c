/*
 * GMime's view of a message, for readers.py: reads a message from standard input and prints one record a line,
 * fields separated by tabs, text escaped so that it holds neither tab nor newline:
 *
 *	subject	TEXT
 *	address	from|to|cc	ADDRESS		in order
 *	header	NAME				each field of the message's own header
 *	part	TYPE	FILENAME	CONTENT-ID	DISPOSITION	BASE64	each leaf with its decoded octets, in order
 *	warning	CODE				what the parser complained of
 */

#include <gmime/gmime.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put(const char *text)
{
	putchar('\t');
	for (; text && *text; text++) {
		if (*text == '\t' || *text == '\n' || *text == '\r' || *text == '\\')
			printf("\\x%02x", (unsigned char)*text);
		else
			putchar(*text);
	}
}

static void headers(GMimeObject *owner)
{
	GMimeHeaderList *list = g_mime_object_get_header_list(owner);

	for (int i = 0; i < g_mime_header_list_get_count(list); i++) {
		fputs("header", stdout);
		put(g_mime_header_get_name(g_mime_header_list_get_header_at(list, i)));
		putchar('\n');
	}
}

static void addresses(const char *field, InternetAddressList *list)
{
	for (int i = 0; list && i < internet_address_list_length(list); i++) {
		InternetAddress *ia = internet_address_list_get_address(list, i);

		if (INTERNET_ADDRESS_IS_GROUP(ia)) {
			addresses(field, internet_address_group_get_members(INTERNET_ADDRESS_GROUP(ia)));
			continue;
		}
		fputs("address", stdout);
		put(field);
		put(internet_address_mailbox_get_addr(INTERNET_ADDRESS_MAILBOX(ia)));
		put(internet_address_get_name(ia));
		putchar('\n');
	}
}

static void leaf(const char *type, const char *name, const char *cid, const char *disposition, GByteArray *bytes)
{
	g_autofree char *text = g_base64_encode(bytes->data, bytes->len);

	fputs("part", stdout);
	put(type);
	put(name);
	put(cid);
	put(disposition);
	put(text);
	putchar('\n');
}

/* Called for each object of the tree, GMime's own walk; containers are not leaves. */
static void object(GMimeObject *parent, GMimeObject *part, gpointer data)
{
	(void)parent;
	(void)data;
	g_autofree char *type = g_mime_content_type_get_mime_type(g_mime_object_get_content_type(part));
	GMimeStream *mem = g_mime_stream_mem_new();

	if (GMIME_IS_PART(part)) {
		GMimeDataWrapper *content = g_mime_part_get_content(GMIME_PART(part));

		if (content)
			g_mime_data_wrapper_write_to_stream(content, mem);
		leaf(type, g_mime_part_get_filename(GMIME_PART(part)), g_mime_object_get_content_id(part),
		     g_mime_object_get_disposition(part), g_mime_stream_mem_get_byte_array(GMIME_STREAM_MEM(mem)));
	} else if (GMIME_IS_MESSAGE_PART(part)) {
		GMimeMessage *inner = g_mime_message_part_get_message(GMIME_MESSAGE_PART(part));

		if (inner)
			g_mime_object_write_to_stream(GMIME_OBJECT(inner), NULL, mem);
		leaf(type, NULL, g_mime_object_get_content_id(part), g_mime_object_get_disposition(part),
		     g_mime_stream_mem_get_byte_array(GMIME_STREAM_MEM(mem)));
	}
	g_object_unref(mem);
}

static void warned(gint64 offset, GMimeParserWarning code, const gchar *item, gpointer data)
{
	(void)data;
	printf("warning\t%d\t%lld", (int)code, (long long)offset);
	put(item);
	putchar('\n');
}

int main(void)
{
	g_mime_init();
	GMimeParserOptions *options = g_mime_parser_options_new();
	GMimeStream *stream = g_mime_stream_pipe_new(0);
	GMimeParser *parser = g_mime_parser_new_with_stream(stream);

	g_mime_parser_options_set_warning_callback(options, warned, NULL);
	GMimeMessage *message = g_mime_parser_construct_message(parser, options);
	if (!message) {
		fputs("gmime_reader: not a message\n", stderr);
		return 65;
	}
	fputs("subject", stdout);
	put(g_mime_message_get_subject(message));
	putchar('\n');
	addresses("from", g_mime_message_get_from(message));
	addresses("to", g_mime_message_get_to(message));
	addresses("cc", g_mime_message_get_cc(message));

	GMimeObject *top = g_mime_message_get_mime_part(message);
	headers(GMIME_OBJECT(message));
	if (top)
		headers(top);   /* the content fields of the message's own header are the part's, to GMime */
	if (top && !GMIME_IS_MULTIPART(top))
		object(NULL, top, NULL);
	else if (top)
		g_mime_multipart_foreach(GMIME_MULTIPART(top), object, NULL);

	g_object_unref(message);
	g_object_unref(parser);
	g_object_unref(stream);
	g_mime_parser_options_free(options);
	g_mime_shutdown();
	return 0;
}
