include "design_rows.pxi"
