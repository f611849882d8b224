"""Empty stand-ins for the CUDA libraries that PyTorch's wheel names and a CPU run never calls.

The x86-64 Linux wheel on PyPI is linked against some 3 GB of NVIDIA packages and does not start
without them. A run on the CPU calls none of their functions; the loader only wants the names.
This script makes libraries of those names in which every function answers "no device", so that
the wheel alone is enough. It needs `nm`, `readelf` and `cc` and changes no file of the wheel.

`python stand_ins.py TORCH_LIB_FOLDER TARGET_FOLDER`; start Python with TARGET_FOLDER in
LD_LIBRARY_PATH.
"""

import collections
import pathlib
import re
import subprocess
import sys

LIBRARY = re.compile(r"\[(lib(?:cu|nccl|nv)\w*\.so\.\d+)\]")
NO_DEVICE = 100
SYMBOL = re.compile(r" U (\w+)(?:@(\S+))?$", re.MULTILINE)


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def main():
    source, target = (pathlib.Path(argument) for argument in sys.argv[1:3])
    target.mkdir(parents=True, exist_ok=True)
    libraries, symbols = set(), collections.defaultdict(set)
    for path in sorted(source.glob("*.so")):
        libraries.update(LIBRARY.findall(run("readelf", "-d", path)))
        for name, version in SYMBOL.findall(run("nm", "-D", "--undefined-only", path)):
            if version or name.startswith(("cu", "nccl")):
                symbols[version].add(name)
    for library in sorted(libraries):
        # A versioned symbol is looked up in the library that its version names; the few without
        # a version may come from anywhere.
        version = "NVSHMEM" if library.startswith("libnvshmem") else library
        names = symbols.get(version, set()) or symbols[""]
        code, versions = target / "stand_in.c", target / "stand_in.map"
        bodies = [f"int {name}(void) {{ return {NO_DEVICE}; }}\n" for name in sorted(names)]
        code.write_text("".join(bodies))
        versions.write_text(f"{version} {{ global: *; }};\n")
        script = [f"-Wl,--version-script={versions}"] if names is not symbols[""] else []
        flags = ["-w", "-shared", "-fPIC", "-nostdlib", f"-Wl,-soname,{library}"]
        run("cc", *flags, *script, "-o", str(target / library), str(code))


if __name__ == "__main__":
    main()
