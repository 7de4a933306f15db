#!/bin/sh
# The layers of HACKING.md, as TAP: a file includes only layers below its own, peers do not include each other,
# and <curl/…>, <cjson/…>, <csv.h> stay where they belong.
cd "${1:-src}" || exit 1

grep -rn '^#include "' . | awk -F'[:"]' '
	BEGIN { n["base"]=0; n["text"]=1; n["model"]=2; n["input"]=n["mime"]=n["net"]=3; n["job"]=4; n["tell.h"]=5; n["tell.c"]=n["main.c"]=6 }
	{ split($1, f, "/"); split($4, h, "/"); from=f[2]; to=h[1]; seen++
	  if (!(from in n) || !(to in n)) { print "# " $1 ": unknown layer " from " -> " to; bad=1 }
	  else if (from != to && n[to] >= n[from]) { print "# " $1 ":" $2 ": " from " may not include " to; bad=1 } }
	END { if (seen < 100) { print "# only " seen+0 " includes were seen"; bad=1 }
	      print (bad ? "not ok" : "ok") " 1 - every file includes only the layers below its own" }'

stray=$(grep -rln '^#include <curl/' . | grep -v -e '^\./net/' -e '^\./text/idn\.c$')
[ -z "$stray" ] || echo "# $stray"
[ -z "$stray" ] && [ -n "$(grep -rl '^#include <curl/' net)" ] && echo "ok 2 - only net/ and text/idn.c include curl" ||
	echo "not ok 2 - only net/ and text/idn.c include curl"

stray=$(grep -rln '^#include <cjson/' . | grep -v -e '^\./input/json\.c$')
[ -z "$stray" ] || echo "# $stray"
[ -z "$stray" ] && [ -n "$(grep -l '^#include <cjson/' input/json.c)" ] && echo "ok 3 - only input/json.c includes cJSON" ||
	echo "not ok 3 - only input/json.c includes cJSON"

stray=$(grep -rln '^#include <csv\.h>' . | grep -v -e '^\./input/csv\.c$')
[ -z "$stray" ] || echo "# $stray"
[ -z "$stray" ] && [ -n "$(grep -l '^#include <csv\.h>' input/csv.c)" ] && echo "ok 4 - only input/csv.c includes libcsv" ||
	echo "not ok 4 - only input/csv.c includes libcsv"

prints=$(grep -rnE '\b(printf|puts|fputs|putchar|perror)\(' --include='*.c' . | grep -v -e '^\./main\.c:' -e '^\./tell\.c:' | grep -vE '\b(sn|as|vas|vsn)printf')
[ -z "$prints" ] || echo "$prints" | sed 's/^/# /'
[ -z "$prints" ] && echo "ok 5 - only main.c and tell.c print" || echo "not ok 5 - only main.c and tell.c print"
echo "1..5"
