noinst_LIBRARIES += %D%/libinspect.a

%C%_libinspect_a_CPPFLAGS = $(AM_CPPFLAGS)
%C%_libinspect_a_SOURCES = \
	%D%/budgets.c \
	%D%/budgets.h \
	%D%/budgets_text.c \
	%D%/window.c \
	%D%/window.h

EXTRA_DIST += %D%/DEPS
