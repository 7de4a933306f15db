#include "job/check.h"

#include "base/err.h"

int check(int *ret_exit, const struct mail_params *p, const struct check_hooks *hooks, struct err *e)
{
	return err_set(e, ERR_USAGE, "not built yet");
}
