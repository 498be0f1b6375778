"""Operations for operators: status, merged lists, retiring spaces."""
