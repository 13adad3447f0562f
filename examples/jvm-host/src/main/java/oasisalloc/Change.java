package oasisalloc;

/** A change that would have reversed a decision: a "column" of the candidate or the "price" of a group, at `to`. */
public record Change(String kind, String name, Object group, double now, double to) {}
