/**
 * Reads snapshots of oasis_alloc and answers requests from them: scores, slates, explanations, and a store that keeps
 * the policy of a file up to date. README.md has the design; docs/snapshot.md of the repository is the specification.
 */
package oasisalloc;
