#include "model/mail_params.h"

void mail_params_copy(struct mail_params *dst, const struct mail_params *src)
{
	mail_params_init(dst);
}

void mail_params_drop(struct mail_params *p, enum origin o)
{
}
