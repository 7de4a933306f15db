#include "job/log.h"

int log_report(const struct report *r, const struct mail_params *p, const struct sysinfo *sys, struct err *e)
{
	return 0;
}
