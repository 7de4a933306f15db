#include "input/input.h"

int input_personality(enum personality *ret, int *ret_skip, int argc, char *argv[], struct err *e)
{
	*ret = AS_MAILCHUTE;
	*ret_skip = 0;
	return 0;
}
