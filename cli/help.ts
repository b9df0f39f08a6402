/**
 * Words of `armor --help` that belong to no command.
 *
 * @module
 */
import { roleFlags } from "../armors/host/role_flags.ts";
import { hanging } from "./hanging.ts";

const roleHelp = roleFlags
  .filter(({ help }) => help !== undefined)
  .map(({ flag, value, help }) => ({ term: value === undefined ? flag : `${flag} ${value}`, help: help as string }));

const termWidth = Math.max(...roleHelp.map(({ term }) => term.length));

/** What surrounds the list of commands. */
export const rootHelp = {
  description: "Keeps programs running through crashes, hangs and dead nodes.",
  after: `
Start a node:
  armor --role daemon --node NAME --listen HOST:PORT [--advertise HOST:PORT]
        [--join HOST:PORT,…] [--config FILE] --data-dir DIR --secret-file FILE

${roleHelp.map(({ term, help }) => hanging(`  ${term.padEnd(termWidth)}  `, help)).join("\n")}

  The first node starts a cluster; the others --join it. All of them need the
  same secret. Ctrl-C or SIGTERM ends a daemon and leaves its programs running.

Every command takes --json and --help; options may stand anywhere before "--".
Exit status: 0 done; 1 refused or failed by the machine or the cluster; 2 wrong
command line.

Two commands to try it:
  armor init --secret-file secret
  armor --role daemon --node n1 --listen 127.0.0.1:7000 --data-dir d1 --secret-file secret
Then, beside it:
  armor --data-dir d1 run --name web -- python3 -m http.server 8000
  armor --data-dir d1 status`,
} as const;
