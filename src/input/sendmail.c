#include "input/input.h"

#include "base/err.h"

int input_sendmail(struct mail_params *p, struct invocation *ret, int argc, char *argv[], struct err *e)
{
	return err_set(e, ERR_USAGE, "not built yet");
}
