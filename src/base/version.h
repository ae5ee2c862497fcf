/* Which build this is: processes of ours that talk to each other must be of the same. */
#pragma once

const char *version_text(void); /* "0.1.0" */
