/*
 * --print-schema: JSON Schema 2020-12 of a params file. The keys are walked
 * from the table; the forms that types have (an attachment, a body to any
 * depth) are written here once, as definitions.
 */

#include "model/mail_params.h"

#include "base/buf.h"
#include "base/json_out.h"
#include "model/params_impl.h"

#include <stdio.h>

static const char definitions[] =
	"{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\","
	"\"title\":\"mailchute params\",\"type\":\"object\",\"additionalProperties\":false,"
	"\"$defs\":{"
	"\"line\":{\"type\":\"string\",\"pattern\":\"^[^\\\\r\\\\n]*$\"},"
	"\"path\":{\"type\":\"string\",\"minLength\":1},"
	"\"fd\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":65535},"
	"\"strings\":{\"anyOf\":[{\"$ref\":\"#/$defs/line\"},"
		"{\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/line\"}}]},"
	"\"rcpt\":{\"anyOf\":[{\"$ref\":\"#/$defs/line\"},"
		"{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"address\"],"
		"\"properties\":{"
		"\"address\":{\"$ref\":\"#/$defs/line\"},\"notify\":{\"$ref\":\"#/$defs/strings\"},"
		"\"orcpt\":{\"$ref\":\"#/$defs/line\"}}}]},"
	"\"rcpts\":{\"anyOf\":[{\"$ref\":\"#/$defs/rcpt\"},"
		"{\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/rcpt\"}}]},"
	"\"field_name\":{\"type\":\"string\",\"pattern\":\"^[!-9;-~]{1,76}$\"},"
	"\"fields\":{\"anyOf\":[{\"type\":\"object\",\"propertyNames\":{\"$ref\":\"#/$defs/field_name\"},"
		"\"additionalProperties\":{\"$ref\":\"#/$defs/strings\"}},"
		"{\"type\":\"array\",\"items\":{\"anyOf\":["
		"{\"type\":\"array\","
		"\"prefixItems\":[{\"$ref\":\"#/$defs/field_name\"},{\"$ref\":\"#/$defs/line\"}],"
		"\"minItems\":2,\"maxItems\":2},"
		"{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"name\","
		"\"value\"],\"properties\":{"
		"\"name\":{\"$ref\":\"#/$defs/field_name\"},\"value\":{\"$ref\":\"#/$defs/line\"}}}]}}]},"
	"\"body\":{\"anyOf\":[{\"type\":\"string\"},"
		"{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{"
		"\"text\":{\"type\":\"string\"},\"file\":{\"$ref\":\"#/$defs/path\"},"
		"\"fd\":{\"$ref\":\"#/$defs/fd\"},"
		"\"base64\":{\"type\":\"string\",\"contentEncoding\":\"base64\"},"
		"\"encoded\":{\"type\":\"boolean\"}},"
		"\"oneOf\":[{\"required\":[\"text\"]},{\"required\":[\"file\"]},{\"required\":[\"fd\"]},"
		"{\"required\":[\"base64\"]}]},"
		"{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"parts\"],"
		"\"properties\":{"
		"\"preamble\":{\"type\":\"string\"},\"epilogue\":{\"type\":\"string\"},"
		"\"parts\":{\"type\":\"array\",\"minItems\":1,\"items\":{\"$ref\":\"#/$defs/message\"}}}}]},"
	"\"message\":{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"body\"],"
	"\"properties\":{"
		"\"headers\":{\"$ref\":\"#/$defs/fields\"},\"body\":{\"$ref\":\"#/$defs/body\"},"
		"\"encoded\":{\"type\":\"boolean\"}}},"
	"\"attachment\":{\"anyOf\":[{\"$ref\":\"#/$defs/path\"},"
		"{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{"
		"\"path\":{\"$ref\":\"#/$defs/path\"},\"text\":{\"type\":\"string\"},"
		"\"fd\":{\"$ref\":\"#/$defs/fd\"},"
		"\"base64\":{\"type\":\"string\",\"contentEncoding\":\"base64\"},"
		"\"filename\":{\"$ref\":\"#/$defs/line\",\"minLength\":1},"
		"\"type\":{\"$ref\":\"#/$defs/line\"},"
		"\"disposition\":{\"enum\":[\"attachment\",\"inline\"]},"
		"\"content_id\":{\"$ref\":\"#/$defs/line\"},"
		"\"encoding\":{\"enum\":[\"auto\",\"7bit\",\"8bit\",\"binary\",\"quoted-printable\","
		"\"base64\"]},"
		"\"encoded\":{\"type\":\"boolean\"},\"headers\":{\"$ref\":\"#/$defs/fields\"}},"
		"\"oneOf\":[{\"required\":[\"path\"]},{\"required\":[\"text\"]},{\"required\":[\"base64\"]},"
		"{\"required\":[\"fd\"]}]}]},"
	"\"attachments\":{\"anyOf\":[{\"$ref\":\"#/$defs/attachment\"},"
		"{\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/attachment\"}}]},"
	"\"alias_name\":{\"type\":\"string\",\"pattern\":\"^[^@: \\t]+$\"},"
	"\"alias_pair\":{\"type\":\"array\",\"minItems\":2,\"maxItems\":2,"
		"\"prefixItems\":[{\"$ref\":\"#/$defs/alias_name\"},{\"$ref\":\"#/$defs/strings\"}]},"
	"\"aliases\":{\"anyOf\":[{\"type\":\"object\",\"propertyNames\":{\"$ref\":\"#/$defs/alias_name\"},"
		"\"additionalProperties\":{\"$ref\":\"#/$defs/strings\"}},"
		"{\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/alias_pair\"}}]},"
	"\"secret\":{\"anyOf\":[{\"type\":\"string\"},"
		"{\"type\":\"object\",\"additionalProperties\":false,\"minProperties\":1,\"maxProperties\":1,"
		"\"properties\":{\"env\":{\"$ref\":\"#/$defs/path\"},\"file\":{\"$ref\":\"#/$defs/path\"},"
		"\"command\":{\"$ref\":\"#/$defs/path\"},\"fd\":{\"$ref\":\"#/$defs/fd\"}}}]}"
	"},";

static const char *definition_of(const struct param *which)
{
	switch (which->type) {
	case PARAM_STRS: return "#/$defs/strings";
	case PARAM_RCPTS: return "#/$defs/rcpts";
	case PARAM_FIELDS: return "#/$defs/fields";
	case PARAM_CONTENT: return "#/$defs/body";
	case PARAM_ATTACHMENTS: return "#/$defs/attachments";
	case PARAM_ALIASES: return "#/$defs/aliases";
	case PARAM_SECRET: return "#/$defs/secret";
	case PARAM_STR:
		if (which->flags & PARAM_JOINED)
			return "#/$defs/strings";
		if (which->flags & PARAM_FILE)
			return "#/$defs/path";
		/* html is the one string of several lines; the rest goes into headers and commands. */
		return which->offset == offsetof(struct mail_params, html) ? NULL : "#/$defs/line";
	default: return NULL;
	}
}

static void put_type(struct json_out *j, const struct param *which)
{
	const char *ref = definition_of(which);

	if (ref) {
		json_str(j, "$ref", ref);
		return;
	}
	switch (which->type) {
	case PARAM_BOOL:
		json_str(j, "type", "boolean");
		break;
	case PARAM_UINT:
		json_str(j, "type", "integer");
		json_int(j, "minimum", which->min);
		json_int(j, "maximum", which->max);
		break;
	case PARAM_SIZE:
		json_str(j, "type", "integer");
		json_int(j, "minimum", 0);
		break;
	case PARAM_ENUM:
		json_open(j, "enum", '[');
		for (const struct param_choice *c = which->choices; c->word; c++)
			json_str(j, NULL, c->word);
		json_close(j, ']');
		break;
	default:
		json_str(j, "type", "string");
		break;
	}
}

static void put_property(struct json_out *j, const struct param *which)
{
	char text[256];

	snprintf(text, sizeof(text), which->fallback ? "%s (default: %s)" : "%s", which->help,
		 which->fallback);
	json_open(j, which->name, '{');
	json_str(j, "description", text);
	put_type(j, which);
	json_close(j, '}');
	if (!which->alias)
		return;
	snprintf(text, sizeof(text), "#/properties/%s", which->name);
	json_open(j, which->alias, '{');
	json_str(j, "$ref", text);
	json_close(j, '}');
}

int mail_params_schema(struct buf *out)
{
	struct json_out j = json_to_buf(out);
	size_t n;
	const struct param *table = param_table(&n);

	if (buf_adds(out, definitions) < 0)
		return -1;
	json_open(&j, "properties", '{');
	for (size_t i = 0; i < n; i++)
		if (!(table[i].flags & PARAM_NO_JSON))
			put_property(&j, &table[i]);
	json_close(&j, '}');
	return j.failed || buf_adds(out, "}\n") < 0 ? -1 : 0;
}
