package oasisalloc;

/** A slate, positions in the request, best first, and the priced scores of all candidates that it was taken from. */
public record Ranking(int[] positions, double[] scores) {}
