#!/usr/bin/env python3
"""Compiles the kernels of this folder to PTX with NVRTC: `make.py LIBNVRTC [NAME ...]`, all kernels by default.

Every `NAME.cu` becomes `NAME.ptx`, for compute_80 and with line information. A file may ask for further options in a
line `// options: ...`.
"""

import ctypes
import pathlib
import sys

FOLDER = pathlib.Path(__file__).parent
OPTIONS = ["-arch=compute_80", "-lineinfo", "--std=c++17"]


def check(library, result):
    if result != 0:
        library.nvrtcGetErrorString.restype = ctypes.c_char_p
        sys.exit(library.nvrtcGetErrorString(result).decode())


def compile_file(library, path):
    source = path.read_text()
    options = list(OPTIONS)
    for line in source.splitlines():
        if line.startswith("// options:"):
            options += line.removeprefix("// options:").split()
    program = ctypes.c_void_p()
    check(library, library.nvrtcCreateProgram(
        ctypes.byref(program), source.encode(), path.name.encode(), 0, None, None))
    array = (ctypes.c_char_p * len(options))(*[option.encode() for option in options])
    result = library.nvrtcCompileProgram(program, len(options), array)
    size = ctypes.c_size_t()
    if result != 0:
        check(library, library.nvrtcGetProgramLogSize(program, ctypes.byref(size)))
        log = ctypes.create_string_buffer(size.value)
        check(library, library.nvrtcGetProgramLog(program, log))
        sys.exit(f"{path.name}: {log.value.decode()}")
    check(library, library.nvrtcGetPTXSize(program, ctypes.byref(size)))
    ptx = ctypes.create_string_buffer(size.value)
    check(library, library.nvrtcGetPTX(program, ptx))
    path.with_suffix(".ptx").write_text(strip(ptx.value.decode()))
    check(library, library.nvrtcDestroyProgram(ctypes.byref(program)))


def strip(ptx):
    """The text without debug sections, which hold nothing that a line needs, and without this folder's path."""
    kept, inside = [], False
    for line in ptx.replace(f"{pathlib.Path.cwd()}/", "").splitlines():
        inside |= line.lstrip().startswith(".section")
        if not inside and not line.startswith("//"):
            kept.append(line.rstrip())
        inside &= line.strip() != "}"
    return "\n".join(kept).strip("\n") + "\n"


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    library = ctypes.CDLL(sys.argv[1])
    names = sys.argv[2:] or sorted(path.stem for path in FOLDER.glob("*.cu"))
    for name in names:
        compile_file(library, FOLDER / f"{name}.cu")


main()
