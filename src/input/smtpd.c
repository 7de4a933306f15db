#include "input/smtpd.h"
