/**
 * Programs that the tests have supervised.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Answers every HTTP request with its pid, on all addresses. */
const serverSource = `
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
int main(int argc, char **argv) {
  signal(SIGPIPE, SIG_IGN);
  int server = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
  setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
  if (bind(server, (struct sockaddr *)&at, sizeof at) || listen(server, 64)) { perror("bind"); return 1; }
  for (;;) {
    int client = accept(server, 0, 0);
    if (client < 0) continue;
    char text[1024];
    if (read(client, text, sizeof text) > 0) {
      int length = snprintf(text, sizeof text, "HTTP/1.0 200 OK\\r\\nConnection: close\\r\\n\\r\\n%d", getpid());
      if (write(client, text, length) < 0) perror("write");
    }
    close(client);
  }
}
`;

/** The same for machines without a C compiler. */
const serverScript = `
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
  def do_GET(self):
    self.send_response(200); self.end_headers(); self.wfile.write(str(os.getpid()).encode())
  def log_message(self, *words): pass
http.server.HTTPServer.allow_reuse_address = True
http.server.HTTPServer(("", int(sys.argv[1])), Handler).serve_forever()
`;

/**
 * A small HTTP server that answers with its pid; its argument is the port.
 *
 * @returns Program and first arguments; C if there is a compiler, else Python, else `undefined`.
 */
export function httpServer(folder: string): readonly string[] | undefined {
  const path = join(folder, "server");
  if (existsSync(path)) return [path];
  writeFileSync(`${path}.c`, serverSource);
  if (spawnSync("cc", ["-O1", "-o", path, `${path}.c`]).status === 0) return [path];
  return pythonServer(folder);
}

/** The same in Python, or `undefined` where there is none. */
export function pythonServer(folder: string): readonly string[] | undefined {
  const python = which("python3");
  if (python === undefined) return undefined;
  const script = join(folder, "server.py");
  writeFileSync(script, serverScript);
  return [python, script];
}

/** A program in the standard path. */
export function which(name: string): string | undefined {
  return ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"].map((folder) => join(folder, name)).find(existsSync);
}

/** Say once why tests are skipped. */
export function skipping(what: string, missing: string): void {
  console.log(`skip ${what}: needs ${missing}`);
}
