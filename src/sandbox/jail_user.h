/* Root starts a jail whose user is somebody else: what that user is to see, wherever it lies.
 *
 * Two things are in the way.  Files that belong to root (a project of root's) are not the jail's to write:
 * they are shown as the jail's user's by id-mapped mounts, and what is written there is root's again on the
 * disk (mount_setattr(2)).  And folders above them may be closed to everybody else (/root): in a mount
 * namespace of our own those are covered, and only what the plan names is put back. */
#pragma once
#include "sandbox/jail.h"

/* Becomes the user of o->network.  Nothing where o->drop is not set.  For a process with one thread that is
 * root, before it makes any other namespace. */
MUST_USE int jail_user_become(const struct jail_options *o, struct err *e);
