"""Where a run is kept: its directory, its database, its lock, and how it was made.

Who may read it is up to the umask, as for any file: with the usual 022 every user of the machine can read all of a run
(search space, commands, records, weights, tables, the texts of errors), and of what was prepared in the cache. A run
that nobody else is to read goes into a directory of mode 0700, or is started under ``umask 077``. Passwords are in no
file of it (:mod:`scale_tune.shown`). Nothing of a run can be written by everybody, whatever the umask
(:mod:`scale_tune.storage.umask`); a group may, if the umask lets it.
"""
