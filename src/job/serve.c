#include "job/serve.h"

#include "base/err.h"

int serve(int in, int out, const struct mail_params *p, const struct config *c, const struct sysinfo *sys,
	  const struct serve_hooks *hooks, struct err *e)
{
	return err_set(e, ERR_USAGE, "not built yet");
}
