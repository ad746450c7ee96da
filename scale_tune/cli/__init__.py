"""The commands: parse, call the package, exit code.

Exit codes: 0 done; 2 bad input, with one clear message; 3 stopped, and can be resumed, or begun anew; 4 a search
without a usable result. Everything heavy is imported when it is needed, so that ``--help`` answers at once.
"""
