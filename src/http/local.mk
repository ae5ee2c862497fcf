noinst_LIBRARIES += %D%/libhttp.a

%C%_libhttp_a_CPPFLAGS = $(AM_CPPFLAGS)
%C%_libhttp_a_SOURCES = \
	%D%/address.c \
	%D%/address.h \
	%D%/auth.c \
	%D%/auth.h \
	%D%/authority.c \
	%D%/chars.c \
	%D%/chars.h \
	%D%/decode.c \
	%D%/fault.h \
	%D%/fields.c \
	%D%/fields.h \
	%D%/framing.c \
	%D%/framing.h \
	%D%/h1.c \
	%D%/h1.h \
	%D%/h1_body.c \
	%D%/h1_write.c \
	%D%/headers.c \
	%D%/headers.def \
	%D%/headers.h \
	%D%/overrides.def \
	%D%/path.c \
	%D%/target.c \
	%D%/target.h \
	%D%/trailers.c \
	%D%/trailers.def \
	%D%/trailers.h

EXTRA_DIST += %D%/DEPS
