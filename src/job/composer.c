/*
 * A thread that composes messages ahead for the only worker, so that its session need not wait while one is made, and
 * a second processor has something to do. See pool.h; crew.c says for how many and when.
 */

#include "job/pool.h"

void *composer_main(void *arg)
{
	struct worker *c = arg;
	struct parcel *made = NULL;
	struct taken taken;

	while (crew_take_ahead(c, made, &taken))
		made = parcel_new(c, &taken);
	return NULL;
}
