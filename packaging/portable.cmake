# Modules that load on any x86-64 Linux since glibc 2.28. They are compiled as ever, with g++ and
# nvcc, so that their bits are those of a development build; what is linked is decided here.
# zig brings the symbols of an old glibc, and gcc's own libraries are linked in.
set(CMAKE_CXX_COMPILER g++)
set(STEPSCORE_ZIG "" CACHE STRING "The command that runs zig")
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES STEPSCORE_ZIG)

# zig drops objects of link-time optimisation in silence; pybind11 leaves it out where this is set.
set(CMAKE_INTERPROCEDURAL_OPTIMIZATION OFF)

set(runtime "")
foreach(library libstdc++.a libgcc_eh.a libgcc.a)
  execute_process(COMMAND ${CMAKE_CXX_COMPILER} -print-file-name=${library}
    OUTPUT_VARIABLE path OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  string(APPEND runtime " ${path}")
endforeach()
set(CMAKE_CXX_CREATE_SHARED_MODULE
  "${STEPSCORE_ZIG} cc -target x86_64-linux-gnu.2.28 -shared \
-Wl,--version-script=${CMAKE_CURRENT_LIST_DIR}/module.map -o <TARGET> <OBJECTS> <LINK_LIBRARIES> \
${CMAKE_CURRENT_LIST_DIR}/single_threaded.c ${runtime}")
