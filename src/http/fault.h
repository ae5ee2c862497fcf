/* Why bytes from outside were not accepted as HTTP.  policy/reason.h gives each its reason. */
#pragma once
#include "base/macros.h"

enum http_fault {
    HTTP_OK,
    HTTP_MALFORMED,         /* 400 malformed-request */
    HTTP_AMBIGUOUS_TARGET,  /* 400 ambiguous-target */
    HTTP_AMBIGUOUS_FRAMING, /* 400 ambiguous-framing */
    HTTP_BAD_VERSION,       /* 400 http-version */
    HTTP_HEAD_TOO_LARGE,    /* 431 head-too-large */
};

/* A fault with a sentence: a literal, so it names no byte of the input. */
struct http_problem {
    enum http_fault fault;
    const char *detail; /* "a second Host header"; NULL with HTTP_OK */
};

/* Always -1, so that `return http_refuse(problem, …);` reads as one step.  `problem` may be NULL. */
static inline int http_refuse(struct http_problem *problem, enum http_fault fault, const char *detail)
{
    if (problem)
        *problem = (struct http_problem){fault, detail};
    return -1;
}
