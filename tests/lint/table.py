#!/usr/bin/env python3
"""Everything that is written by hand agrees with the table of settings: completions, manual, --help, JSON Schema.

usage: table.py TABLE_DUMP MAILCHUTE SOURCE_ROOT      (TAP on standard output)
"""

import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time

DUMP, PROGRAM, ROOT = sys.argv[1:4]
count = failed = 0


def ok(name, problems):
    """One line of the plan; @problems is empty where all is well."""
    global count, failed
    count += 1
    for problem in problems:
        print("#", problem)
    failed += bool(problems)
    print("not ok" if problems else "ok", count, "-", name, flush=True)


def skip(name, why):
    global count
    count += 1
    print(f"ok {count} - {name} # SKIP {why}")


def run(*command, **more):
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **more)


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


rows = [json.loads(line) for line in run(DUMP).stdout.splitlines()]
settings = [row for row in rows if row["type"] != "action"]
every_flag = {flag for row in rows for flag in row["flags"] + row["alias_flags"]}
letters = {"-" + row["letter"] for row in rows if row["letter"]}


def differences(what, have, want):
    return [f"{what}: {word} is missing" for word in sorted(want - have)] + \
        [f"{what}: {word} is not in the table" for word in sorted(have - want)]


def long_words(text):
    return set(re.findall(r"(?<![\w-])--[a-z0-9][a-z0-9-]*", text))


def check_table():
    problems = []
    for row in rows:
        if not row["help"] or row["help"][-1] == "." or "\n" in row["help"]:
            problems.append(f"{row['name']}: help is one line without a full stop")
        if row["type"] == "enum" and not row["choices"]:
            problems.append(f"{row['name']}: an enum without choices")
    names = [row["name"] for row in rows] + [row["alias"] for row in rows if "alias" in row]
    problems += [f"{name} is there twice" for name in set(names) if names.count(name) > 1]
    used = [row["letter"] for row in rows if row["letter"]]
    problems += [f"-{letter} is there twice" for letter in set(used) if used.count(letter) > 1]
    ok("the table is consistent", problems if rows else ["the table is empty"])


def check_help():
    done = run(PROGRAM, "--help")
    text = done.stdout.replace("--[no-]", "--")
    problems = [f"--help: exit {done.returncode}"] if done.returncode else []
    problems += [f"--help: {line!r} is wider than 80" for line in done.stdout.splitlines() if len(line) > 80]
    for row in rows:
        both = "--[no-]" + row["name"].replace("_", "-")
        if row["type"] == "bool" and both not in done.stdout:
            problems.append(f"--help: {both} is missing")
        problems += [f"--help: {flag} is missing" for flag in row["flags"]
                     if not flag.startswith("--no-") and flag not in long_words(text)]
        if row["letter"] and f"-{row['letter']}, --" not in done.stdout:
            problems.append(f"--help: -{row['letter']} is missing")
    ok("--help has every flag", problems)


def check_schema():
    done = run(PROGRAM, "--print-schema")
    try:
        properties = set(json.loads(done.stdout)["properties"])
    except (ValueError, KeyError) as problem:
        ok("the JSON Schema has every key", [f"--print-schema: {problem!r}, {done.stderr}"])
        return
    keys = {row["name"] for row in settings if row["json"]}
    aliases = {row["alias"] for row in settings if row["json"] and "alias" in row}
    ok("the JSON Schema has every key, and no other",
       differences("schema", properties - aliases, keys))


def check_params():
    """Every setting can be set by each way in that the table gives it."""
    problems = []
    for row in settings:
        environment = {"PATH": os.environ["PATH"], "MAILCHUTE_" + row["name"].upper(): "\x01"}
        done = run(PROGRAM, "--print-params", "--dry-run", "x@example.org", env=environment, stdin=subprocess.DEVNULL)
        if "no such setting" in done.stderr or done.returncode < 0:
            problems.append(f"MAILCHUTE_{row['name'].upper()}: {done.stderr.strip()}")
    ok("every setting has its variable", problems)


def check_manual():
    page = "mailchute.1.scd"
    if os.path.exists(os.path.join(ROOT, "man", page)):
        words = long_words(read("man", page).replace("\\", ""))
        problems = [f"{page}: {' or '.join(row['flags'])} is missing" for row in rows
                    if row["type"] != "secret" and not words & set(row["flags"])]
        problems += [f"{page}: {flag} is missing" for row in rows if row["type"] == "secret"
                     for flag in row["flags"] if flag not in words]
        problems += [f"{page}: {letter} is missing" for letter in letters
                     if not re.search(r"(?<![\w-])" + letter + r"\b", read("man", page))]
        ok("mailchute(1) has every flag", problems)
    else:
        ok("mailchute(1) has every flag", ["man/mailchute.1.scd is not there"])
    page = "mailchute-params.5.scd"
    if os.path.exists(os.path.join(ROOT, "man", page)):
        text = read("man", page).replace("\\", "")
        ok("mailchute-params(5) has every key", [
            f"{page}: {row['name']} is missing" for row in settings if row["json"]
            and not re.search(r"(?<![\w-])" + row["name"] + r"(?![\w-])", text)])
    else:
        ok("mailchute-params(5) has every key", ["man/mailchute-params.5.scd is not there"])


def check_roff():
    if not shutil.which("scdoc") or not shutil.which("mandoc"):
        skip("the manual is well-formed", "scdoc and mandoc are not both installed")
        return
    # scdoc's own habits: a paragraph before each thing, and the title's letters as they are.
    known = ("skipping paragraph macro", "lower case character in document title")
    problems = []
    for page in sorted(os.listdir(os.path.join(ROOT, "man"))):
        if page.endswith(".scd"):
            made = run("scdoc", input=read("man", page))
            said = run("mandoc", "-T", "lint", input=made.stdout).stdout.splitlines()
            problems += [f"{page}: {line}" for line in made.stderr.splitlines() + said
                         if not any(word in line for word in known)]
    ok("the manual is well-formed", problems)


def bash_complete(*words):
    script = """
        source "$1"; shift
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
        _mailchute mailchute "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    done = run("bash", "-c", script, "bash", os.path.join(ROOT, "completions", "mailchute.bash"), "mailchute", *words)
    return set(done.stdout.split("\n")) - {""}, done.stderr


def check_bash():
    name = "bash completion"
    text = read("completions", "mailchute.bash")
    dashed = {word for word in long_words(text)}
    ok(name + ": its words are the table's", differences("mailchute.bash", dashed, every_flag))
    have, noise = bash_complete("-")
    ok(name + " gives every flag", differences("bash -", have, every_flag | letters) + ([noise] if noise else []))
    problems = []
    for row in rows:
        for flag in row["flags"] if row["choices"] else []:
            want = set(row["choices"])
            for words in [(flag, ""), (flag, "="), (flag, "=", "")]:
                have, noise = bash_complete(*words)
                problems += differences("bash " + " ".join(words), have, want) + ([noise] if noise else [])
        for flag in row["flags"] if row["value"] and not row["file"] and not row["choices"] else []:
            if row["type"] != "secret" and bash_complete(flag, "-")[0]:
                problems.append(f"bash: {flag} takes a value, which is not a flag")
    ok(name + " gives the words of a choice", problems)
    problems = []
    for row in rows:
        for flag in row["flags"] if row["file"] and row["name"] != "files_dir" else []:
            have = bash_complete(flag, os.path.join(ROOT, "meson.b"))[0]
            problems += differences("bash " + flag, have, {os.path.join(ROOT, "meson.build")})
    ok(name + " gives files where a file is wanted", problems)
    ok(name + " gives nothing behind --", [f"{bash_complete('--', '-')}"] if bash_complete("--", "-")[0] else [])


ZSH = """
fpath=($COMPLETIONS $fpath)
autoload -Uz compinit && compinit -u -d $HOME/dump
typeset -ga caught
compadd() {
    local -a hits
    # With -O, -A or -D it computes for its caller, and offers nothing.
    if [[ " ${@[1,(i)--]} " == *\\ -[OAD]\\ * ]]; then builtin compadd "$@"; return; fi
    builtin compadd -A hits "$@"
    caught+=($hits)
    builtin compadd "$@"
}
capture() { _main_complete; print -rl -- $caught > $HOME/caught; exit }
zle -C capture complete-word capture
bindkey '^I' capture
"""


def zsh_complete(home, line):
    """What an interactive zsh, which has found the completion by itself, offers at the end of @line."""
    caught, init = os.path.join(home, "caught"), os.path.join(home, "init")
    with open(init, "w", encoding="ascii") as file:
        file.write(ZSH)
    with open(caught, "w", encoding="ascii"):
        pass
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe("zsh", ["zsh", "-f", "-i"], {"PATH": os.environ["PATH"], "HOME": home, "TERM": "dumb",
                                                "COMPLETIONS": os.path.join(ROOT, "completions")})
    os.write(terminal, f"source {init}\n{line}\t".encode())
    end = time.monotonic() + 30
    try:
        while time.monotonic() < end:
            if select.select([terminal], [], [], 0.1)[0] and not os.read(terminal, 4096):
                break
        else:
            os.kill(pid, 9)
    except OSError:
        pass                            # EIO: it has gone
    os.close(terminal)
    os.waitpid(pid, 0)
    with open(caught, encoding="utf-8") as file:
        return {word.rstrip("=") for word in file.read().split("\n")} - {""}


def check_zsh(home):
    if not shutil.which("zsh"):
        skip("zsh completion", "no zsh")
        return
    path = os.path.join(ROOT, "completions", "_mailchute")
    done = run("zsh", "-n", path)
    ok("zsh completion: its syntax", [done.stderr] if done.returncode else [])
    specs = re.findall(r"^\t'\*?(--?[A-Za-z0-9][a-z0-9-]*)", read("completions", "_mailchute"), re.M)
    ok("zsh completion: its words are the table's", differences("_mailchute", set(specs), every_flag | letters))
    problems = []
    for row in rows:
        for flag in row["flags"] if row["choices"] else []:
            if f"'{flag}=" not in read("completions", "_mailchute") or f":({' '.join(row['choices'])})'" not in \
                    read("completions", "_mailchute"):
                problems.append(f"_mailchute: the words of {flag} are not {row['choices']}")
    ok("zsh completion: the words of a choice", problems)
    # Only the way to write a letter and its value in one word makes a difference between zsh and the table.
    have = {word.rstrip("+") for word in zsh_complete(home, "mailchute -")}
    ok("zsh finds the completion, which gives every flag", differences("zsh -", have, every_flag | letters))
    problems = []
    for row in rows:
        for flag in row["flags"][:1] if row["choices"] else []:
            for form in (flag + " ", flag + "="):
                problems += differences("zsh " + form, zsh_complete(home, "mailchute " + form), set(row["choices"]))
    ok("zsh completion gives the words of a choice", problems)


def check_fish(home):
    if not shutil.which("fish"):
        skip("fish completion", "no fish")
        return
    path = os.path.join(ROOT, "completions", "mailchute.fish")
    done = run("fish", "-n", path)
    ok("fish completion: its syntax", [done.stderr] if done.returncode else [])
    text = read("completions", "mailchute.fish")
    have = {"--" + word for word in re.findall(r" -l ([a-z0-9-]+)", text)} | \
        {"-" + word for word in re.findall(r" -s ([A-Za-z])\b", text)}
    ok("fish completion: its words are the table's", differences("mailchute.fish", have, every_flag | letters))
    problems = []
    for row in rows:
        for flag in row["flags"] if row["choices"] else []:
            line = f"source {path}; complete -C 'mailchute {flag} '"
            done = run("fish", "--no-config", "-c", line, env={"PATH": os.environ["PATH"], "HOME": home})
            have = {word.split("\t")[0] for word in done.stdout.splitlines()}
            problems += differences("fish " + flag, have, set(row["choices"]))
    ok("fish completion gives the words of a choice", problems)


check_table()
check_help()
check_schema()
check_params()
check_manual()
check_roff()
check_bash()
# Both write to their home whatever they are told.
for check in (check_zsh, check_fish):
    with tempfile.TemporaryDirectory() as directory:
        check(directory)
print(f"1..{count}")
sys.exit(1 if failed else 0)
