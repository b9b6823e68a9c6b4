# Language level, warnings, sanitizers.
set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE Release)
endif()

set(TRIB_SANITIZE "" CACHE STRING "Sanitizers, as for -fsanitize= (address,undefined or thread)")
option(TRIB_FUZZ "Build the fuzz targets with libFuzzer (clang)" OFF)
option(TRIB_COVERAGE "Instrument for coverage" OFF)

add_compile_definitions(_GNU_SOURCE)
# No contraction and no fast-math: the same source gives the same bits whichever instruction set runs it.
add_compile_options(-ffp-contract=off -fno-math-errno -fno-trapping-math -fvisibility=hidden -fstack-protector-strong
    -fmacro-prefix-map=${CMAKE_SOURCE_DIR}/=)
set(CMAKE_C_FLAGS_RELEASE "-O3 -g -DNDEBUG")
set(TRIB_DEBUG_FLAGS "-Og -g3" CACHE STRING "Compiler flags of the Debug build type")
set(CMAKE_C_FLAGS_DEBUG "${TRIB_DEBUG_FLAGS}")
if(NOT TRIB_SANITIZE AND CMAKE_BUILD_TYPE STREQUAL "Release")
    add_compile_options(-D_FORTIFY_SOURCE=2)
    add_link_options(-Wl,-z,relro,-z,now)
endif()
if(TRIB_SANITIZE)
    add_compile_options(-fsanitize=${TRIB_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
    add_link_options(-fsanitize=${TRIB_SANITIZE})
    add_compile_definitions(TRIB_SANITIZED=1)
endif()
if(TRIB_COVERAGE)
    add_compile_options(--coverage -fprofile-update=atomic)
    add_link_options(--coverage)
    add_compile_definitions(TRIB_COVERAGE=1)
endif()
if(TRIB_FUZZ)
    add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-omit-frame-pointer -fno-sanitize-recover=all)
    add_link_options(-fsanitize=address,undefined)
    add_compile_definitions(TRIB_SANITIZED=1)
endif()

# For our own sources only; generated ones do not promise to pass.
set(TRIB_WARNINGS -Wall -Wextra -Werror -Wpedantic -Wshadow -Wvla -Wundef -Wpointer-arith -Wwrite-strings
    -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wcast-qual -Wformat=2 -Wimplicit-fallthrough
    -Wnull-dereference -Wno-gnu-zero-variadic-macro-arguments)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    list(APPEND TRIB_WARNINGS -Wlogical-op -Wduplicated-cond -Wno-pedantic)
    list(REMOVE_ITEM TRIB_WARNINGS -Wpedantic -Wno-gnu-zero-variadic-macro-arguments)
else()
    list(APPEND TRIB_WARNINGS -Wno-pass-failed) # a loop that clang cannot vectorise is no fault
endif()
if(TRIB_SANITIZE) # instrumentation hides from gcc what it needs to know for these
    list(APPEND TRIB_WARNINGS -Wno-null-dereference -Wno-maybe-uninitialized)
endif()
