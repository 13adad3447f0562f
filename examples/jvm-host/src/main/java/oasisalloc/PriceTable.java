package oasisalloc;

import java.util.Arrays;

/** Prices by group: groups are rows of codes, one code per key, in ascending order. */
record PriceTable(String[] keys, int[] groups, double[] price) {
    /** The row of a group, -1 where it has no price. */
    int row(int[] group) {
        int low = 0, high = price.length - 1, width = keys.length;
        while (low <= high) {
            int middle = (low + high) >>> 1;
            int order = Arrays.compare(groups, middle * width, (middle + 1) * width, group, 0, width);
            if (order == 0) return middle;
            if (order < 0) low = middle + 1;
            else high = middle - 1;
        }
        return -1;
    }

    PriceTable at(double[] prices) {
        return new PriceTable(keys, groups, prices);
    }

    PriceTable times(double factor) {
        return at(Arrays.stream(price).map(one -> one * factor).toArray());
    }
}
