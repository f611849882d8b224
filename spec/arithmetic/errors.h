/* How far the elementary functions are from the exact ones. */
#ifndef ERRORS_H
#define ERRORS_H

#include <stdint.h>

/* Prints the largest error of each function over every `stride`-th input. */
void print_errors(uint32_t stride);

#endif
