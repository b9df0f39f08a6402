/**
 * The document of `GET /v1/status`, as far as the command line shows it. Another
 * version's daemon may leave fields out.
 *
 * @module
 */

/** An armor that there is one of. */
export interface StatusSingleArmor {
  readonly id: string;
  readonly node: string;
  readonly pid: number | null;
  readonly state: string;
  readonly incarnation: unknown;
}

/** A cluster as one daemon sees it. */
export interface StatusDocument {
  readonly cluster?: string;
  /** `node` is an id; everywhere below it is a name. */
  readonly epoch?: { readonly number: number; readonly node: string };
  /** No fault-tolerance manager answers. */
  readonly stale?: boolean;
  readonly ftm?: StatusSingleArmor | null;
  readonly heartbeat?: StatusSingleArmor | null;
  readonly nodes?: readonly { readonly name: string; readonly id: string; readonly address: string; readonly state: string }[];
  readonly armors?: readonly (StatusSingleArmor & { readonly role: string; readonly name?: string })[];
  readonly applications?: readonly {
    readonly name: string;
    readonly desired: string;
    readonly state: string;
    readonly revision: unknown;
    readonly instances?: readonly {
      readonly id: string;
      readonly node: string | null;
      readonly pid: number | null;
      readonly state: string;
      readonly restarts: number;
    }[];
  }[];
}
