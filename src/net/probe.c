#include "net/probe.h"
