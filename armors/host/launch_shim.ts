/**
 * The launch shim: the parent of one program, a few lines of POSIX `sh` that
 * outlive every armor (dash, busybox and bash; 0.3 MB, 2–3 ms).
 *
 * It takes the launch record, which must not exist; writes pid, start time and
 * boot of the program before the program is; and appends its exit status.
 * The script reaches the shell as standard input: so the program's arguments
 * are in nobody's but the program's own command line, and whoever counts or
 * kills processes by `pgrep -f` finds the program alone.
 *
 * Notes on the shell: a subshell in the foreground, because one in the
 * background starts with SIGINT and SIGQUIT ignored and hands that on; it reads
 * `/proc/self/stat` itself, because `$$` is its parent; the shim ignores signals that are meant for programs; a
 * variable gets a long name, because one of the program's environment would be overwritten.
 *
 * @module
 */

/** Exit statuses of a shim, or of the copy of it that becomes the program, that launched nothing. */
export const shimStatus = { recordFailed: 74, recordExists: 75 } as const;

/** What the shim runs. */
export interface ShimOptions {
  /** Program and arguments, preceded by `setsid` and its like; absolute paths. */
  readonly argv: readonly string[];
  readonly directory: string;
  readonly bootId: string;
  /** Kept in the record, if given: one line. */
  readonly task?: string | undefined;
}

/** Arguments of the shell: `$2` is the data dir, `$3` the launch record. */
export function shimArgv(dataDir: string, record: string): [string, ...string[]] {
  return ["/bin/sh", "-s", "--", "--data-dir", dataDir, record];
}

/** Standard input of the shell. */
export function shimScript({ argv, directory, bootId, task }: ShimOptions): string {
  return `set -C
echo "shim $$" >"$3" || { [ -s "$3" ] && exit ${shimStatus.recordExists}; exit ${shimStatus.recordFailed}; }
exec 3>>"$3"
armor_shim_note() {
  echo "pid $1
start \${21}
boot ${bootId}${task === undefined ? "" : `\ntask ${task}`}" >&3
}
trap '' HUP INT QUIT TERM
(
  trap - HUP INT QUIT TERM
  cd ${quote(directory)} || { echo ${quote(`reason cannot enter directory ${JSON.stringify(directory)}`)} >&3; exit 126; }
  unset OLDPWD
  read -r armor_shim_stat </proc/self/stat || exit ${shimStatus.recordFailed}
  armor_shim_note "\${armor_shim_stat%% *}" \${armor_shim_stat##*) } || exit ${shimStatus.recordFailed}
  exec ${argv.map(quote).join(" ")} </dev/null 2>&1 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
)
echo "exit $?" >&3
exit 0
`;
}

/** One word of the shell, whatever it holds. */
export function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
