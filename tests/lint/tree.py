"""What the lints share: the files of the tree, C without comments and strings, the blocks of CMakeLists.txt."""
import functools
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PARTS = ("common", "server", "client", "ctl")  # where blocks and programs are


@functools.cache
def files(*suffixes):
    """The tree's own files: tracked ones, and new ones that git does not ignore."""
    listed = subprocess.run(["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, check=True,
                            capture_output=True).stdout.decode()
    names = sorted(set(listed.split("\0")) - {""})
    paths = [ROOT / name for name in names if not suffixes or pathlib.Path(name).suffix in suffixes]
    return [path for path in paths if path.is_file()]


def name(path):
    return str(path.relative_to(ROOT))


TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def code_of(path):
    """C text whose comments and literals are blanks, line for line."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group())
    text = path.read_text(encoding="utf-8")
    # An #include's file name is no literal to be blanked.
    return "\n".join(line if re.match(r"\s*#\s*include\b", kept) else line_blank
                     for line, kept, line_blank in zip(text.split("\n"), text.split("\n"),
                                                       TOKEN.sub(blank, text).split("\n")))


class Block:
    def __init__(self, target, folder, links):
        self.target, self.folder, self.links = target, folder, links
        public = folder / "include"
        self.prefixes = sorted(entry.name for entry in public.iterdir() if entry.is_dir()) if public.is_dir() else []


@functools.cache
def cmake():
    """(blocks by target in the order of CMakeLists.txt, programs: source -> links)."""
    text = re.sub(r"#[^\n]*", "", (ROOT / "CMakeLists.txt").read_text())
    blocks, programs = {}, {}
    for words in re.findall(r"trib_block\(([^)]*)\)", text):
        short, folder, *rest = words.split()
        links = [word for word in rest if word not in ("PUBLIC", "PRIVATE")]
        blocks[f"trib_{short}"] = Block(f"trib_{short}", ROOT / folder, links)
    for words in re.findall(r"trib_program\(([^)]*)\)", text):
        _, source, _, *links = words.split()
        programs[ROOT / source] = links
    return blocks, programs


def closure(links):
    """All targets that are linked, directly or through others."""
    blocks, _ = cmake()
    found, waiting = set(), list(links)
    while waiting:
        target = waiting.pop()
        if target not in found:
            found.add(target)
            waiting += blocks[target].links if target in blocks else []
    return found


def report(complaints, what=""):
    """Print and leave: 0 when there is nothing to complain of."""
    for complaint in complaints:
        print(complaint)
    if not complaints and what:
        print(what)
    sys.exit(1 if complaints else 0)
