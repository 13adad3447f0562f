"""Why a candidate was shown or not."""
