/**
 * What a node shows and trusts in TLS. Apart from `certificates.ts` because that
 * file loads a large library.
 *
 * @module
 */

/** A node's key and certificate and the authority it trusts, in PEM. */
export interface TlsIdentity {
  readonly key: string;
  readonly cert: string;
  readonly ca: string;
}

/**
 * The name in every certificate and every handshake. Nodes are told apart by the
 * common name; that a peer holds the cluster secret is all its certificate proves.
 */
export const serverName = "armor.local";
