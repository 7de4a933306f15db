"""The end-to-end test house: fake servers, real servers, readers, a TAP runner.

A test file begins with

	import sys, os
	sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
	from lib import tap, mc, fake

and ends with `tap.main()`. See each module's head for what it gives.
"""
