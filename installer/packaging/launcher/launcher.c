/* The front of the executable: it finds or unpacks the runtime behind it, and becomes the runtime's Python. */

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "launcher.h"

/* Where distributions keep the CAs that the machine trusts; OpenSSL knows only Debian's. */
static const char *const CA_FILES[] = {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
                                       "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"};

noreturn void fail(const char *format, ...) {
    va_list arguments;
    fputs("k0rdentd: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

static void set_environment(const struct executable *self) {
    setenv("K0RDENTD_EXECUTABLE", self->path, 1);
    setenv("LC_ALL", "C", 1); /* Python takes UTF-8 then; the host's locales fit the host's C library alone */
    unsetenv("LD_PRELOAD");
    unsetenv("LD_LIBRARY_PATH");
    unsetenv("LD_AUDIT");
    for (size_t i = 0; i < sizeof CA_FILES / sizeof *CA_FILES; i++)
        if (access(CA_FILES[i], R_OK) == 0) {
            setenv("SSL_CERT_FILE", CA_FILES[i], 0);
            return;
        }
}

/* What has to be read from a cold disk is read while the kernel is still busy with the exec. */
static void read_ahead(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0)
        posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED);
}

int main(int argc, char **argv) {
    static struct executable self;
    static char runtime[PATH_MAX], python[PATH_MAX + 16];
    const char *called = (const char *)getauxval(AT_EXECFN);
    open_executable(&self, called ? called : "");
    find_runtime(&self, runtime);
    set_environment(&self);
    snprintf(python, sizeof python, "%s/bin/python3", runtime);
    read_ahead(python);
    char **words = calloc((size_t)argc + 6, sizeof *words);
    if (!words)
        fail("no memory");
    words[0] = python;
    words[1] = "-I";
    words[2] = "-S"; /* all modules lie in one folder, there is none for a site to add */
    words[3] = "-m";
    words[4] = "installer.command";
    for (int i = 1; i < argc; i++)
        words[i + 4] = argv[i];
    execv(python, words);
    fail("cannot run %s: %s; if it is damaged, remove %s and start again", python, strerror(errno), runtime);
}
