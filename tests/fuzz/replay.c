/* Replays a corpus through a fuzz target: the main() of fuzz_<x> in builds without libFuzzer.
 *
 * Arguments are files or directories; without any it takes corpus/<x> beside the target's source, found through
 * EXEAT_TOP_SRCDIR. Speaks TAP: one test for each file. A target that finds something wrong aborts, so the file that
 * was announced last is the culprit.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { INPUT_MAX = 8 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned test_count;
static unsigned fail_count;

static void report(const char *path, const char *failure)
{
    const char *corpus = strstr(path, "/corpus/");

    test_count++;
    if (failure)
        fail_count++;
    printf("%sok %u - %s%s%s\n", failure ? "not " : "", test_count, corpus ? corpus + 1 : path,
           failure ? ": " : "", failure ? failure : "");
    fflush(stdout);
}

/* The input stands in a block of exactly its size, so that a sanitizer sees a read beyond its end. */
static void replay_bytes(const char *path, const uint8_t *data, size_t size)
{
    uint8_t *exact = malloc(size ? size : 1);
    if (!exact) {
        report(path, "out of memory");
        return;
    }
    memcpy(exact, data, size);
    printf("# %s\n", path);
    fflush(stdout);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    report(path, NULL);
}

static void replay_file(const char *path)
{
    static uint8_t input[INPUT_MAX];

    FILE *f = fopen(path, "rb");
    if (!f) {
        report(path, strerror(errno));
        return;
    }
    size_t size = fread(input, 1, sizeof(input), f);
    int broken = ferror(f) || !feof(f);
    fclose(f);
    if (broken)
        report(path, "unreadable or over 8 MiB");
    else
        replay_bytes(path, input, size);
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void replay_directory(const char *path)
{
    struct dirent **entries;
    int n = scandir(path, &entries, is_visible, alphasort);

    if (n < 0) {
        report(path, strerror(errno));
        return;
    }
    for (int i = 0; i < n; i++) {
        char *file = NULL;
        if (asprintf(&file, "%s/%s", path, entries[i]->d_name) < 0)
            abort();
        replay_file(file);
        free(file);
        free(entries[i]);
    }
    free(entries);
    if (n == 0)
        report(path, "empty corpus: a target needs at least one input");
}

static void replay(const char *path)
{
    struct stat st;

    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        replay_directory(path);
    else
        replay_file(path);
}

static int replay_default(const char *program)
{
    const char *top = getenv("EXEAT_TOP_SRCDIR");
    const char *slash = strrchr(program, '/');
    const char *name = slash ? slash + 1 : program;
    char *path = NULL;

    if (!top || strncmp(name, "fuzz_", 5) != 0) {
        fprintf(stderr, "usage: fuzz_<x> FILE|DIRECTORY…  (or set EXEAT_TOP_SRCDIR)\n");
        return -1;
    }
    if (asprintf(&path, "%s/tests/fuzz/corpus/%s", top, name + 5) < 0)
        abort();
    replay(path);
    free(path);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 2 && replay_default(argv[0]) < 0)
        return 2;
    for (int i = 1; i < argc; i++)
        replay(argv[i]);
    printf("1..%u\n", test_count);
    return fail_count ? 1 : 0;
}
