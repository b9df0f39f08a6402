/**
 * Joining a cluster: ask the named daemons which cluster it is and where its FTM
 * is. Silent peers are asked again; one that refuses ends the attempt.
 *
 * @module
 */
import { ArmorError } from "../../core/errors.ts";
import type { Epoch } from "../../core/generation.ts";
import { parseAddress } from "../../transports/address.ts";
import { request } from "../../transports/http2_client.ts";
import type { TlsIdentity } from "../../transports/tls_identity.ts";
import { version } from "../version.ts";

/** What a daemon tells one that wants to join; `GET /v1/cluster`. */
export type ClusterDocument = {
  readonly cluster: string;
  readonly version: string;
  readonly ftm: { readonly epoch: Epoch; readonly node: string };
  /** Address of the FTM's node. */
  readonly address: string;
};

const retryMs = 500;

/**
 * Ask until one answers.
 *
 * @param self This node's own address, which may be in the list.
 * @throws {ArmorError} `"refused"`: another secret or another version.
 */
export async function joinCluster(addresses: readonly string[], self: string, tls: () => TlsIdentity): Promise<ClusterDocument> {
  for (;;) {
    for (const address of addresses.filter((one) => one !== self)) {
      const found = await ask(address, tls());
      if (found) return found;
    }
    await new Promise((resolve) => setTimeout(resolve, retryMs));
  }
}

async function ask(address: string, tls: TlsIdentity): Promise<ClusterDocument | undefined> {
  try {
    const response = await request({ address: parseAddress(address), tls, method: "GET", path: "/v1/cluster", timeoutMs: 3_000 });
    if (response.status !== 200) return void response.close();
    const found = await response.json() as ClusterDocument;
    if (found.version !== version) {
      throw new ArmorError("refused", `cannot join ${address}: it runs version ${found.version}, this is ${version}`);
    }
    return found.address ? found : undefined;
  } catch (error) {
    if (!(error instanceof ArmorError)) throw error;
    if (error.code === "wrong_secret") throw new ArmorError("refused", `cannot join ${address}: it has another cluster secret`);
    if (error.code === "refused") throw error;
    return undefined;
  }
}
